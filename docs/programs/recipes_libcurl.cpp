// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <string>

#include <curl/curl.h>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Response {
    CURLcode code = CURLE_OK;
    long status = 0;
    curl_off_t retry_after = 0;  // in seconds
    std::string body;
};

Response get(const std::string& url, Duration within) {
    Response r;
    CURL* const curl = curl_easy_init();
    if (curl == nullptr) return r.code = CURLE_FAILED_INIT, r;
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(within / 1ms)));
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r.body);
    curl_easy_setopt(
        curl, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* body) {
            static_cast<std::string*>(body)->append(data, size);
            return size;
        });
    r.code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r.status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &r.retry_after);  // libcurl 7.66 or later
    // A date may be in the past, and a number may be too large for nanoseconds.
    r.retry_after = std::clamp<curl_off_t>(r.retry_after, 0, 86'400);
    curl_easy_cleanup(curl);
    return r;
}

// excerpt: begin
Failure classify(const Response& r) {
    switch (r.code) {
        case CURLE_OK:
            return http_failure(static_cast<int>(r.status), std::chrono::seconds{r.retry_after});
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_CONNECT:
            return {.cause = Cause::refused};
        case CURLE_OPERATION_TIMEDOUT:
            return {.cause = Cause::timed_out};
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_PEER_FAILED_VERIFICATION:
            return {.cause = Cause::permanent};
        default:
            return {.cause = Cause::lost};
    }
}
// excerpt: end

int main(int count, char** words) {
    if (count != 2) return std::puts("usage: PORT"), 2;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const std::string url = "http://127.0.0.1:" + std::string{words[1]} + "/busy-twice";
    // excerpt: begin
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    const Policy policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, StopOn{Cause::permanent, Cause::unauthorized}, Shared{budget},
                        AttemptTimeout{10s}, MaxAttempts{4}};
    Pipeline pipeline{Timeout{30s}, Retrying{policy}};
    ThreadSleeper sleeper;
    int attempts = 0;
    const auto ask = [&](Attempt attempt) { return ++attempts, get(url, elapsed(sleeper.now(), attempt.deadline)); };
    const auto page = pipeline(sleeper, fails_if(ask, classify));
    std::printf("%s after %d attempts\n", page ? page->body.c_str() : page.message().c_str(), attempts);
    // excerpt: end
    return page ? 0 : 1;
}
