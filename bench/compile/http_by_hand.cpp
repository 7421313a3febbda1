// SPDX-License-Identifier: MIT
// A request over libcurl that is repeated by hand.
#include <curl/curl.h>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
using namespace std::chrono_literals;
static size_t take(char* p, size_t n, size_t m, void* to) {
    static_cast<std::string*>(to)->append(p, n * m);
    return n * m;
}
int main(int count, char** words) {
    if (count != 2) return 2;
    const std::string url = "http://127.0.0.1:" + std::string{words[1]} + "/busy-twice";
    std::mt19937_64 bits{std::random_device{}()};
    CURL* curl = curl_easy_init();
    std::string body;
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    std::chrono::nanoseconds ceiling = 100ms;
    for (int attempt = 0; attempt < 5; ++attempt) {
        body.clear();
        long status = 0;
        if (curl_easy_perform(curl) == CURLE_OK)
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200) return std::printf("%s\n", body.c_str()), 0;
        if (status != 0 && status < 500) return 1;
        std::uniform_int_distribution<long> wait{0, ceiling.count()};
        std::this_thread::sleep_for(std::chrono::nanoseconds{wait(bits)});
        ceiling *= 2;
    }
    return 1;
}
