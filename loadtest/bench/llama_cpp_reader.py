"""The program that llama.cpp runs in: how many posts a second it can read. Not for calling by hand.

It reads the order, a JSON object, from stdin and writes the figures, one too, to stdout. It runs with the Python that
llm-bench made for it, for it needs llama-cpp-python.

What it does is llama.cpp at its best for this work: the beginning of each prompt is read once and stays in the KV memory,
a post is what follows it, for both prompts, and several posts go through the model in one llama_decode, which works out
the logits of their last tokens only. Tokens are counted beforehand and nothing is done with the logits: that costs nothing.
"""

import ctypes
import itertools
import json
import signal
import statistics
import sys
import time

import llama_cpp


def silence(*_):
    pass


# Kept for as long as the library may call it.
SILENCE = llama_cpp.llama_log_callback(silence)


class Reader:
    """A model, and the beginnings of the prompts in its memory as the sequences 0, 1, …"""

    def __init__(self, order):
        llama_cpp.llama_log_set(SILENCE, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(order["model"].encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"llama.cpp cannot load {order['model']}")
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        heads = [self.tokens(head, True) for head, _ in order["prompts"]]
        self.starts = [len(head) for head in heads]
        self.posts = [[self.tokens(f" {text}{tail}") for _, tail in order["prompts"]] for text in order["texts"]]

        most = max(order["sizes"], default=1) * len(heads)
        longest = max(len(rest) for post in self.posts for rest in post)
        settings = llama_cpp.llama_context_default_params()
        # One pass for the whole of a decode, however many posts it has.
        settings.n_batch = settings.n_ubatch = max(512, most * longest, *self.starts)
        settings.n_ctx = sum(self.starts) + settings.n_batch
        settings.n_seq_max = len(heads) + most
        settings.kv_unified = True
        settings.n_threads = settings.n_threads_batch = order["threads"]
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        if not self.context:
            sys.exit("llama.cpp cannot make a context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(settings.n_batch, 0, 1)
        self.decode([(head, 0, sequence) for sequence, head in enumerate(heads)])

    def tokens(self, text, beginning=False):
        data = text.encode()
        found = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), found, len(found), beginning, False)
        if count < 0:
            sys.exit(f"llama.cpp cannot turn a text of {len(data)} bytes into tokens")
        return found[:count]

    def decode(self, runs):
        """Reads runs of tokens, each of which begins at a position of a sequence; logits for the last of each."""
        batch, place = self.batch, 0
        for tokens, start, sequence in runs:
            for position, token in enumerate(tokens, start):
                batch.token[place] = token
                batch.pos[place] = position
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = sequence
                batch.logits[place] = 0
                place += 1
            batch.logits[place - 1] = 1
        batch.n_tokens = place
        failed = llama_cpp.llama_decode(self.context, batch)
        if failed:
            sys.exit(f"llama_decode of {place} tokens answered {failed}")
        # The logits are only asked for here; a decode may still be at work when it returns.
        llama_cpp.llama_get_logits_ith(self.context, place - 1)

    def read(self, posts):
        """Reads posts together and forgets them again."""
        runs, sequence = [], len(self.starts)
        for post in posts:
            for head, rest in enumerate(post):
                llama_cpp.llama_memory_seq_cp(self.memory, head, sequence, -1, -1)
                runs.append((rest, self.starts[head], sequence))
                sequence += 1
        self.decode(runs)
        for used in range(len(self.starts), sequence):
            llama_cpp.llama_memory_seq_rm(self.memory, used, -1, -1)

    def run(self, size, warm_up, seconds):
        """Reads `size` posts at a time for `seconds`."""
        supply = itertools.cycle(self.posts)
        began = time.monotonic()
        while time.monotonic() - began < warm_up:
            self.read(list(itertools.islice(supply, size)))
        tokens, times, began = 0, [], time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            posts = list(itertools.islice(supply, size))
            tokens += sum(len(rest) for post in posts for rest in post)
            self.read(posts)
            times.append(time.monotonic() - began - passed)
        passed = time.monotonic() - began
        return {"posts_per_decode": size, "posts_per_second": len(times) * size / passed,
                "tokens_per_second": tokens / passed, "p50_seconds": statistics.median(times), "resident_bytes": resident()}


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def main():
    # Ctrl-C is for llm-bench to tell of.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    order = json.load(sys.stdin)
    reader = Reader(order)
    figures = {"version": llama_cpp.__version__, "system": llama_cpp.llama_print_system_info().decode().strip(" |"),
               "tokens": [sum(map(len, post)) for post in reader.posts[:order["compare"]]],
               "runs": [reader.run(size, order["warm_up"], order["seconds"]) for size in order["sizes"]]}
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
