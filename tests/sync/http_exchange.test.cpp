// SPDX-License-Identifier: MIT
// Goal: a server over HTTP keeps all rules of one in the process. Method: check::sync_server, and
// responses that are invalid.
#include <belay/sync/http_exchange.hpp>

#include <belay/drive/loop.hpp>

#include "support/catch.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// An HTTP client whose server is in the same process.
struct HttpToServer {
    struct Handle {
        Handle() = default;
        Handle(Handle&&) noexcept = default;
        ~Handle() {}
    };
    Handle request(HttpRequest request, Completion<HttpResponse> done) {
        CHECK(request.method == "POST");
        CHECK(request.url == "http://localhost/sync");
        if (status == 0) {
            static_cast<void>(std::move(done));
            return {};
        }
        HttpResponse response{.status = status};
        const auto answer = rig.server.answer(as_bytes(request.body));
        response.body = std::string{as_text(answer.bytes)};
        done(std::move(response));
        return {};
    }
    BytesRig<>& rig;
    int status = 200;
};

struct HttpBody {
    Result<SyncResult<Op>> send(std::span<const Op> batch) { return in->server.send(batch); }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        return in->server.changes(since);
    }
    struct Parts {
        BytesRig<> rig{};
        HttpToServer http{rig};
        Loop<> loop{};
        part::RemoteSyncServer<TextCodec, part::HttpExchange<HttpToServer, Loop<>>> server{
            part::HttpExchange{http, loop, {.url = "http://localhost/sync"}},
            TextCodec{},
            {.session = "s"}};
    };
    BytesRig<>& rig() { return in->rig; }
    std::unique_ptr<Parts> in = std::make_unique<Parts>();
};

}  // namespace

TEST_CASE("check::sync_server finds no fault in a server over HTTP", "[sync][http_exchange]") {
    CHECK(fault_of_body<HttpBody>({.histories = 5}) == "none");
}

TEST_CASE("HttpExchange reports a response that is no answer", "[sync][http_exchange]") {
    HttpBody body;
    for (const int status : {401, 500, 503}) {
        body.in->http.status = status;
        const auto page = body.changes({});
        REQUIRE_FALSE(page);
        CHECK(page.error() == std::error_code(status, http_category()));
    }
    body.in->http.status = 0;  // the client drops the request
    CHECK(body.changes({}).error() == SyncErrc::unanswered);
    body.in->http.status = 200;
    body.in->loop.stop();  // the program stops the loop during another request
    CHECK(body.changes({}));
}

TEST_CASE("an exchange passes a stop of the loop on to its next run", "[sync][http_exchange]") {
    Loop<> loop;
    loop.post([&] { loop.stop(); });
    CHECK_FALSE(detail::wait_for_exchange(loop, 10s, [] { return false; }));
    CHECK_FALSE(loop.run_until([] { return false; }, 60s));
}
