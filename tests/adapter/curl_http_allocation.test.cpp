// SPDX-License-Identifier: MIT
// Goal: without memory a request fails, and nothing else: every question has its answer, and the
// client goes on. Method: memory runs out at each allocation in turn; what is freed is overwritten,
// so that whoever still reads it is found out, libcurl as well.
#include <belay/adapter/curl_http.hpp>

#include <new>

#if defined(__GLIBC__)
#    include <malloc.h>
#endif

#include "support/adapter/http_rig.hpp"
#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/failing_new.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// While it lives, freed memory is no longer what it was (where the allocator can do that).
struct FreedIsSpoiled {
#if defined(__GLIBC__)
    FreedIsSpoiled() { static_cast<void>(::mallopt(M_PERTURB, 0x5a)); }
    FreedIsSpoiled(const FreedIsSpoiled&) = delete;
    FreedIsSpoiled& operator=(const FreedIsSpoiled&) = delete;
    ~FreedIsSpoiled() { static_cast<void>(::mallopt(M_PERTURB, 0)); }
#endif
};

/// Asks with memory for so many allocations.   Returns: whether that was enough.
bool is_enough(belay_test::HttpRig<CurlHttp>& rig, HttpRequest request, std::size_t good) {
    belay_test::Asked asked;
    Completion<HttpResponse> completion = asked.completion();
    std::optional<CurlHttp::Handle> handle;
    bool thrown = false;
    bool enough = false;
    {
        const belay_test::FailingNew failing{good};
        try {
            handle.emplace(rig.http.request(std::move(request), std::move(completion)));
            while (!asked.told)
                static_cast<void>(rig.loop.run_until([&] { return asked.told; }, 1s));
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        enough = failing.failed() == 0;
    }
    rig.until([&] { return asked.told; });
    if (enough) {
        REQUIRE(asked.response);
        CHECK(asked.response->body == "hello");
    } else if (asked.response) {
        CHECK((asked.response->body == "hello" ||
               asked.response->failure == Failure::from(HttpErrc::client_failed)));
    } else {
        CHECK(thrown);
    }
    return enough;
}

}  // namespace

TEST_CASE("CurlHttp fails a request without memory, and goes on",
          "[adapter][curl_http_allocation][fault]") {
    [[maybe_unused]] const FreedIsSpoiled spoiled;
    belay_test::HttpServer server;
    const auto survives = [&](auto make) {
        std::size_t good = 0;
        for (bool enough = false; !enough; ++good) {
            belay_test::HttpRig<CurlHttp> rig;
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
