"""The parts of loadtest/llm-bench.

| file | what lives there |
|---|---|
| `posts.py` | the posts that are judged |
| `service.py` | an llm-service of our own, and callers of it |
| `llama_cpp_side.py` | llama.cpp: installing it, calling it, whether it does the same work |
| `llama_cpp_reader.py` | the program that llama.cpp runs in |
| `machine.py` | what the machine is, and what else it does |
| `throughput.py`, `soak.py` | the two measurements |
| `report.py` | how they are shown |
| `say.py` | progress, and where things are |
"""
