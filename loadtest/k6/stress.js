// Lets more and more users read the feed without a pause, from 10 to 2,000 in four minutes, and ends as soon as one read
// in a hundred fails or one in a hundred takes a second. BASE_URL names another address.

import http from "k6/http";
import { check } from "k6";

const feed = `${__ENV.BASE_URL || "http://127.0.0.1:8080"}/api/posts`;

export const options = {
  scenarios: {
    stress: {
      executor: "ramping-vus",
      stages: [
        { duration: "10s", target: 10 },
        { duration: "20s", target: 20 },
        { duration: "20s", target: 50 },
        { duration: "20s", target: 100 },
        { duration: "20s", target: 200 },
        { duration: "50s", target: 500 },
        { duration: "50s", target: 1000 },
        { duration: "50s", target: 2000 },
      ],
    },
  },
  thresholds: {
    http_req_failed: [{ threshold: "rate<0.01", abortOnFail: true }],
    http_req_duration: [{ threshold: "p(99)<1000", abortOnFail: true }],
  },
};

export default function () {
  const answer = http.get(feed);
  check(answer, { "status is 200": (it) => it.status === 200 });
}
