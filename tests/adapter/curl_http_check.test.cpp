// SPDX-License-Identifier: MIT
// Goal: curl::Http passes check::http. Method: the check.
#include <belay/adapter/curl_http.hpp>
#include <belay/posix/http_check.hpp>
#include <belay/posix/loop.hpp>

#include <memory>
#include <string>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct CurlCheckRig {
    posix::Loop<> loop{};
    curl::Http http{loop, [](CURL* curl) { return curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); }};
    void run_once() {
        static_cast<void>(loop.run_until([] { return false; }, 1ms));
    }
};

}  // namespace

TEST_CASE("check::http finds no fault in curl::Http", "[adapter][curl_http_check][unit]") {
    const auto broken = check::http([] { return std::make_unique<CurlCheckRig>(); });
    CHECK(std::string{broken ? to_string(*broken) : "right"} == "right");
}
