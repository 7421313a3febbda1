// SPDX-License-Identifier: MIT
// Goal: a name lookup that hangs delays neither the loop nor any destruction. Method: the system's
// function, which libcurl calls in a thread, waits for the test.
#include <belay/curl/http.hpp>
#include <belay/http/http_calls.hpp>

#include <atomic>
#include <cstring>
#include <string>

#include <dlfcn.h>
#include <netdb.h>

#include <belay/drive.hpp>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"
#include "support/posix/black_hole.hpp"

namespace {

/// The number of lookups of "hangs.invalid", and whether they may end.
std::atomic<int> lookups_hanging{0};
std::atomic<bool> lookups_let_go{false};
/// The number of lookups of "moves.test", which has the address 127.0.0.1 from the third one on.
/// Before, it is that of a machine that refuses connections.
std::atomic<int> lookups_moving{0};

}  // namespace

// This function replaces that of the C library, for libcurl, too.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
    if (name != nullptr && std::strcmp(name, "hangs.invalid") == 0) {
        ++lookups_hanging;
        lookups_let_go.wait(false);
        --lookups_hanging;
        lookups_hanging.notify_all();
        return EAI_NONAME;
    }
    if (name != nullptr && std::strcmp(name, "moves.test") == 0) {
        name = ++lookups_moving <= 2 ? "127.0.0.9" : "127.0.0.1";
    }
    using Real = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(name, service, hints, found);
}

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("HttpCalls over curl::Http finds a server that has moved within its retries",
          "[curl][http_lookups][regression]") {
    belay_test::HttpServer server;
    belay_test::HttpRig<curl::Http> rig;
    LoopSleeper sleeper{rig.loop};
    HttpCalls calls{rig.http, sleeper, {.first_wait = 1ms, .wait_max = 2ms}};
    const std::string url = "http://moves.test:" + std::to_string(server.port) + "/hello";
    const auto found = calls.send_blocking(rig.loop, {.url = url});
    REQUIRE(found);
    CHECK(found->body == "hello");
    CHECK(lookups_moving == 3);
    // A kept connection needs no lookup.
    CHECK(calls.send_blocking(rig.loop, {.url = url}));
    CHECK(lookups_moving == 3);
}

TEST_CASE("curl::Http tries the next address of a name if the first one is silent",
          "[curl][http_lookups][regression]") {
    belay_test::HttpServer server;
    const belay_test::BlackHole silent{"127.0.0.2", server.port};
    const std::string entry = "two.test:" + std::to_string(server.port) + ":127.0.0.2,127.0.0.1";
    curl_slist* const addresses = curl_slist_append(nullptr, entry.c_str());
    posix::Loop loop;
    curl::Http http{loop, [addresses](CURL* curl) {
                        return curl_easy_setopt(curl, CURLOPT_RESOLVE, addresses);
                    }};
    LoopSleeper sleeper{loop};
    HttpCalls calls{http, sleeper, {.attempts_max = 1}};
    const auto found = calls.send_blocking(
        loop, {.url = "http://two.test:" + std::to_string(server.port) + "/hello", .deadline = 4s});
    CHECK(found);
    curl_slist_free_all(addresses);
}

TEST_CASE("curl::Http uses no kept connection beyond its age", "[curl][http_lookups][regression]") {
    if (curl_version_info(CURLVERSION_NOW)->version_num < 0x075000) {
        std::puts("SKIP: before 7.80 libcurl has no age of connections");
        return;
    }
    belay_test::HttpServer server;
    belay_test::HttpRig<curl::Http> rig{detail::CurlConfigure{},
                                        curl::Http::Options{.connection_age = 1s}};
    const auto last_line = [&] {
        const std::string log = rig.get(server.url("/log")).body;
        return log.substr(log.rfind('\n') + 1);
    };
    CHECK(rig.get(server.url("/hello")).body == "hello");
    const std::string first = last_line();
    const Instant end = after(rig.loop.now(), belay_test::wait_max);
    while (last_line() == first && rig.loop.now() < end) {
        CHECK(rig.get(server.url("/hello")).body == "hello");
    }
    CHECK(last_line() != first);
}

TEST_CASE("curl::Http does not block on a name lookup that hangs", "[curl][http_lookups][fault]") {
    if (curl_version_info(CURLVERSION_NOW)->version_num < 0x075700) {
        std::puts("SKIP: before 7.87 libcurl waits for its look-ups");
        return;
    }
    belay_test::HttpServer server;
    belay_test::HttpRig<curl::Http> rig;
    belay_test::RequestRecord dropped;
    belay_test::RequestRecord ended;
    auto handle =
        std::optional{rig.http.request({.url = "http://hangs.invalid/"}, dropped.completion())};
    rig.until([&] { return lookups_hanging == 1; });
    // The other requests continue.
    CHECK(rig.get(server.url("/hello")).body == "hello");
    handle.reset();
    CHECK(dropped.reported);
    CHECK(lookups_hanging == 1);

    const HttpResponse late = rig.fetch({.url = "http://hangs.invalid/", .deadline = 1ms});
    CHECK(late == HttpResponse{.failure = Failure::from(HttpErrc::timed_out), .sent = false});
    CHECK(lookups_hanging >= 1);

    std::optional<curl::Http> client{std::in_place, rig.loop};
    const int before = lookups_hanging;
    handle.emplace(client->request({.url = "http://hangs.invalid/"}, ended.completion()));
    rig.until([&] { return lookups_hanging > before; });
    client.reset();
    CHECK(ended.reported);
    CHECK(lookups_hanging > before);

    lookups_let_go = true;
    lookups_let_go.notify_all();
    for (int left = lookups_hanging; left != 0; left = lookups_hanging) lookups_hanging.wait(left);
}
