// SPDX-License-Identifier: MIT
// Goal: without memory only the request fails: every completion is called, and the client
// continues. Method: memory runs out at each allocation in turn; freed memory is overwritten, so
// that a use after free is detected, also in libcurl.
#include <belay/curl/http.hpp>

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__GLIBC__)
#    include <malloc.h>
#endif

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/curl/http_rig.hpp"
#include "support/failing_new.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// During its lifetime, freed memory is overwritten (if the allocator supports that).
struct FreedIsSpoiled {
#if defined(__GLIBC__)
    FreedIsSpoiled() { static_cast<void>(::mallopt(M_PERTURB, 0x5a)); }
    FreedIsSpoiled(const FreedIsSpoiled&) = delete;
    FreedIsSpoiled& operator=(const FreedIsSpoiled&) = delete;
    ~FreedIsSpoiled() { static_cast<void>(::mallopt(M_PERTURB, 0)); }
#endif
};

/// The memory of libcurl. During the lifetime of one of these, it ends like FailingNew, or fails
/// once.
struct CurlMemory {
    enum class Lack { none, all, once };
    static inline thread_local Lack lack = Lack::none;
    static inline thread_local std::size_t left = 0;  // allocations before the one that fails

    static bool ends() noexcept {
        if (lack == Lack::all) return belay_test::allocation_fails();
        if (lack != Lack::once || left-- != 0) return false;
        lack = Lack::none;
        return true;
    }
    static void* take(std::size_t n) { return ends() ? nullptr : std::malloc(n); }
    static void* take_zeros(std::size_t n, std::size_t size) {
        return ends() ? nullptr : std::calloc(n, size);
    }
    static void* take_more(void* p, std::size_t n) { return ends() ? nullptr : std::realloc(p, n); }
    static char* take_text(const char* text) { return ends() ? nullptr : ::strdup(text); }
    static void give_back(void* p) { std::free(p); }

    /// Constructed before any client, because libcurl uses only the functions that are set first.
    static inline const CURLcode reported = curl_global_init_mem(
        CURL_GLOBAL_DEFAULT, &take, &give_back, &take_more, &take_text, &take_zeros);

    CurlMemory() noexcept { lack = Lack::all; }
    explicit CurlMemory(std::size_t good) noexcept {
        lack = Lack::once;
        left = good;
    }
    CurlMemory(const CurlMemory&) = delete;
    CurlMemory& operator=(const CurlMemory&) = delete;
    ~CurlMemory() { lack = Lack::none; }
    [[nodiscard]] bool lacked() const noexcept { return lack != Lack::once; }
};

/// Sends a request with memory for this many allocations.   Returns: whether that was enough. With
/// `any`, it may fail with any error of libcurl.
bool is_enough(belay_test::HttpRig<curl::Http>& rig, HttpRequest request, std::size_t good,
               bool any = false) {
    belay_test::RequestRecord record;
    Completion<HttpResponse> completion = record.completion();
    std::optional<curl::Http::Handle> handle;
    bool thrown = false;
    bool enough = false;
    {
        const belay_test::FailingNew failing{good};
        try {
            handle.emplace(rig.http.request(std::move(request), std::move(completion)));
            while (!record.reported)
                static_cast<void>(rig.loop.run_until([&] { return record.reported; }, 1s));
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        enough = failing.failed() == 0;
    }
    rig.until([&] { return record.reported; });
    if (enough) {
        REQUIRE(record.response);
        CHECK(record.response->body == "hello");
    } else if (record.response) {
        CHECK((record.response->body == "hello" ||
               (any && record.response->failure.cause != Cause::none) ||
               record.response->failure == Failure::from(HttpErrc::client_failed)));
    } else {
        CHECK(thrown);
    }
    return enough;
}

HttpRequest moving_put(const belay_test::HttpServer& server) {
    return {.url = server.url("/redirect/307?" + server.url("/hello?moved")),
            .method = "PUT",
            .headers = {{"X-Long-Name-Of-A-Header", std::string(100, 'v')}},
            .body = std::string(100, 'b'),
            .redirects = true};
}

}  // namespace

TEST_CASE("curl::Http fails a request without memory, and continues",
          "[curl][http_allocation][fault]") {
    [[maybe_unused]] const FreedIsSpoiled spoiled;
    belay_test::HttpServer server;
    const auto survives = [&](auto make) {
        std::size_t good = 0;
        for (bool enough = false; !enough; ++good) {
            belay_test::HttpRig<curl::Http> rig;
            enough = is_enough(rig, make(), good);
            // The same client, with memory.
            CHECK(rig.get(server.url("/hello")).body == "hello");
        }
        CHECK(good > 3);
    };
    survives([&] { return HttpRequest{.url = server.url("/hello")}; });
    survives([&] {
        return HttpRequest{.url = server.url("/redirect/307?" + server.url("/hello")),
                           .method = "POST",
                           .headers = {{"X-Long-Name-Of-A-Header", std::string(100, 'v')}},
                           .body = std::string(100, 'b'),
                           .redirects = true};
    });
}

TEST_CASE("curl::Http and libcurl without memory fail a request, and continue",
          "[curl][http_allocation][fault]") {
    [[maybe_unused]] const FreedIsSpoiled spoiled;
    REQUIRE(CurlMemory::reported == CURLE_OK);
    belay_test::HttpServer server;
    const auto survives = [&](auto make) {
        std::size_t good = 0;
        for (bool enough = false; !enough; ++good) {
            INFO("memory for " << good);
            belay_test::HttpRig<curl::Http> rig;
            {
                const CurlMemory both;
                enough = is_enough(rig, make(), good, true);
            }
            CHECK(rig.get(server.url("/hello")).body == "hello");
        }
        CHECK(good > 30);
    };
    survives([&] { return HttpRequest{.url = server.url("/hello")}; });
    survives([&] { return moving_put(server); });
}

TEST_CASE("curl::Http sends no incomplete request when libcurl runs out of memory",
          "[curl][http_allocation][fault]") {
    [[maybe_unused]] const FreedIsSpoiled spoiled;
    REQUIRE(CurlMemory::reported == CURLE_OK);
    belay_test::HttpServer server;
    std::size_t good = 0;
    for (bool enough = false; !enough; ++good) {
        INFO("memory for " << good);
        belay_test::HttpRig<curl::Http> rig;
        belay_test::RequestRecord record;
        {
            const CurlMemory memory{good};
            std::optional<curl::Http::Handle> handle;
            bool thrown = false;
            try {
                handle = rig.http.request(moving_put(server), record.completion());
            } catch (const std::bad_alloc&) {
                thrown = true;
            }
            rig.until([&] { return record.reported; });
            CHECK(thrown == !record.response);
            enough = !memory.lacked();
        }
        if (!record.response) continue;
        INFO(record.response->status << " " << record.response->body << " "
                                     << record.response->failure.message());
        // libcurl 7.88 omits a query for which it has no memory.
        const std::string* const location = record.response->headers.find("Location");
        const bool asked_less = location != nullptr && location->empty();
        CHECK((record.response->body == "hello" || asked_less) == record.response->complete());
        CHECK(record.response->failure != Failure::from(HttpErrc::bad_url));
        CHECK(rig.get(server.url("/hello")).body == "hello");
    }
    CHECK(good > 30);
    belay_test::HttpRig<curl::Http> rig;
    const std::string target = "/hello?moved";
    const std::string before = "/redirect/307?" + server.url(target);
    CHECK(rig.requests_received(server, "PUT " + target) > 0);
    CHECK(rig.requests_received(server, "PUT " + target) <=
          rig.requests_received(server, "PUT " + before));
    for (const std::string method : {"POST ", "GET "}) {
        CHECK(rig.requests_received(server, method + target) == 0);
        CHECK(rig.requests_received(server, method + before) == 0);
    }
}
