// SPDX-License-Identifier: MIT
// The program of docs/how-to/http-calls.md with the calls in another source file.
#include <cstdio>
#include <string>

#include <belay/curl/any_http_calls.hpp>
using namespace belay;
using namespace std::chrono_literals;

int main(int count, char** words) {
    if (count != 2) return std::puts("usage: PORT"), 2;
    const std::string url = "http://127.0.0.1:" + std::string{words[1]} + "/busy-twice";
    posix::Loop loop;
    curl::AnyHttpCalls calls{loop};
    const Outcome<HttpResponse> page = calls.send_blocking(loop, {.url = url, .deadline = 20s});
    if (!page) return std::printf("%s\n", page.message().c_str()), 1;
    std::printf("%s\n", page->body.c_str());
    std::printf("%llu requests\n", static_cast<unsigned long long>(calls.counters().requests));
}
