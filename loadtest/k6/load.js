// Reads the feed over and over: how many answers a second, and how fast. `make k6` runs it with 10 users and 100,000
// reads between them; BASE_URL names another address.

import http from "k6/http";
import { check } from "k6";

const feed = `${__ENV.BASE_URL || "http://127.0.0.1:8080"}/api/posts`;

export const options = {
  thresholds: {
    http_req_failed: ["rate<0.01"],
    http_req_duration: ["p(99)<1000"],
  },
};

export default function () {
  const answer = http.get(feed);
  check(answer, { "status is 200": (it) => it.status === 200 });
}
