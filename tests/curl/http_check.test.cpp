// SPDX-License-Identifier: MIT
// Goal: curl::Http passes check::http. Method: the check.
#include <belay/curl/http.hpp>
#include <belay/posix/http_check.hpp>
#include <belay/posix/loop.hpp>

#include <memory>
#include <string>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// While the check is busy, a timer of libcurl expires, and libcurl runs all requests in one call.
CURLcode set_check_options(CURL* curl) {
    const CURLcode code = curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, 25L);
}

struct CurlCheckRig {
    posix::Loop<> loop{};
    curl::Http http{loop, set_check_options};
    void run_once() {
        static_cast<void>(loop.run_until([] { return false; }, 1ms));
    }
};

}  // namespace

TEST_CASE("check::http finds no fault in curl::Http", "[curl][http_check][unit]") {
    const auto broken = check::http([] { return std::make_unique<CurlCheckRig>(); });
    CHECK(std::string{broken ? to_string(*broken) : "right"} == "right");
}
