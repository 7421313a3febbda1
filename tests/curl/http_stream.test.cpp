// SPDX-License-Identifier: MIT
// Goal: bodies arrive in pieces after their status; handles and clients may be destroyed at any
// moment, also inside their own callbacks. Method: a real server that the test controls.
#include <belay/curl/http.hpp>

#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/curl/http_rig.hpp"
#include "support/eventually.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::HttpServer;
using belay_test::RequestRecord;

namespace {

using StreamRig = belay_test::HttpRig<curl::Http>;
using Pieces = std::vector<std::string>;

/// A client that can be destroyed, and a request that may call any function at each piece.
struct StreamFixture {
    explicit StreamFixture(const HttpServer& s) : server{s}, http{std::in_place, loop} {}

    HttpRequest stream(const std::string& path = "/stream") {
        return {.url = server.url(path),
                .deadline = forever,
                .body_bytes_max = HttpRequest::no_limit,
                .on_chunk = [this](const HttpResponse&, std::string_view piece) noexcept {
                    ++calls;
                    if (act) act(piece);
                }};
    }
    template <class F>
    void until(F done) {
        REQUIRE(loop.run_until(done, belay_test::wait_max));
    }
    /// Later events of requests in flight would be reported here.
    void settle() {
        StreamRig rig;
        CHECK(rig.get(server.url("/hello")).body == "hello");
        REQUIRE(loop.run_until([] { return true; }));
        REQUIRE(loop.run_until([] { return true; }));
    }

    const HttpServer& server;
    RequestRecord record;
    RequestRecord second;
    int calls = 0;
    std::function<void(std::string_view)> act;
    posix::Loop<> loop;
    std::optional<curl::Http> http;
    std::optional<curl::Http::Handle> handle;
    std::optional<curl::Http::Handle> other;
};

}  // namespace

TEST_CASE("curl::Http delivers pieces as they arrive, status and headers first",
          "[curl][http_stream][unit]") {
    HttpServer server;
    StreamRig rig;
    RequestRecord record;
    std::string type;
    const auto handle = rig.http.request(
        {.url = server.url("/stream?text/event-stream"),
         .deadline = forever,
         .body_bytes_max = 5,
         .on_chunk =
             [&, keep = record.on_chunk()](const HttpResponse& head,
                                           std::string_view piece) mutable noexcept {
                 type = *head.headers.find("content-type");
                 CHECK(head.body.empty());
                 keep(head, piece);
             }},
        record.completion());
    // request() itself calls no completion.
    CHECK(record.pieces.empty());
    rig.until([&] { return !record.pieces.empty(); });
    CHECK(record.pieces == Pieces{"200:"});
    CHECK(type == "text/event-stream");
    server.send_command("say a");
    rig.until([&] { return record.pieces.size() == 2; });
    server.send_command("say bcde");
    rig.until([&] { return record.pieces.size() == 3; });
    CHECK(record.pieces == Pieces{"200:", "200:a", "200:bcde"});
    CHECK_FALSE(record.reported);

    SECTION("it ends") {
        server.send_command("end");
        rig.until([&] { return record.reported; });
        REQUIRE(record.response);
        CHECK(record.response->complete());
        CHECK(record.response->status == 200);
        CHECK(record.response->body.empty());
    }
    SECTION("it breaks off") {
        server.send_command("cut");
        rig.until([&] { return record.reported; });
        REQUIRE(record.response);
        CHECK(record.response->failure == Failure::from(HttpErrc::lost));
    }
    SECTION("it is longer than allowed") {
        server.send_command("say f");
        rig.until([&] { return record.reported; });
        REQUIRE(record.response);
        CHECK(record.response->failure == Failure::from(HttpErrc::too_long));
    }
    CHECK(record.pieces.size() == 3);
}

TEST_CASE("curl::Http delivers the pieces of an error response, too", "[curl][http_stream][unit]") {
    HttpServer server;
    StreamRig rig;
    RequestRecord record;
    const HttpResponse busy =
        rig.fetch({.url = server.url("/status/503"), .on_chunk = record.on_chunk()});
    CHECK(busy.status == 503);
    CHECK(record.pieces == Pieces{"503:", "503:no"});
    // A request without a response has no head.
    RequestRecord silent;
    rig.fetch({.url = server.url("/drop"), .on_chunk = silent.on_chunk()});
    CHECK(silent.pieces.empty());
}

TEST_CASE("Destroying the handle aborts a request without calling its completion",
          "[curl][http_stream][unit]") {
    HttpServer server;
    StreamFixture fixture{server};

    SECTION("before it has begun") {
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.handle.reset();
    }
    SECTION("in the middle") {
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return fixture.calls == 1; });
        fixture.handle.reset();
    }
    SECTION("inside of on_chunk") {
        fixture.act = [&](std::string_view) { fixture.handle.reset(); };
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return fixture.record.reported; });
    }
    SECTION("inside of the first of many pieces") {
        fixture.act = [&](std::string_view piece) {
            if (!piece.empty()) fixture.handle.reset();
        };
        fixture.handle =
            fixture.http->request(fixture.stream("/endless"), fixture.record.completion());
        fixture.until([&] { return fixture.record.reported; });
        CHECK(fixture.calls == 2);
    }
    SECTION("inside of the on_chunk of another") {
        fixture.other =
            fixture.http->request({.url = server.url("/never")}, fixture.record.completion());
        fixture.act = [&](std::string_view) { fixture.other.reset(); };
        fixture.handle = fixture.http->request(fixture.stream(), fixture.second.completion());
        fixture.until([&] { return fixture.record.reported; });
        CHECK_FALSE(fixture.second.reported);
        fixture.handle.reset();
    }
    SECTION("by assigning another request to it") {
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return fixture.calls == 1; });
        *fixture.handle =
            fixture.http->request({.url = server.url("/hello")}, fixture.second.completion());
        fixture.until([&] { return fixture.second.reported; });
        CHECK(fixture.second.response->body == "hello");
    }
    const int calls = fixture.calls;
    CHECK(fixture.record.reported);
    CHECK_FALSE(fixture.record.response);
    server.send_command("say more");
    fixture.settle();
    CHECK(fixture.calls == calls);
    // The client still works.
    RequestRecord last;
    fixture.handle = fixture.http->request({.url = server.url("/hello")}, last.completion());
    fixture.until([&] { return last.reported; });
    CHECK(fixture.loop.watched() == 0);
}

TEST_CASE("Destroying a client aborts its requests without calling their completions",
          "[curl][http_stream][unit]") {
    HttpServer server;
    StreamFixture fixture{server};
    fixture.other =
        fixture.http->request({.url = server.url("/never")}, fixture.second.completion());

    SECTION("outside") {
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return fixture.calls == 1; });
        fixture.http.reset();
    }
    SECTION("before anything has begun") {
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.http.reset();
    }
    SECTION("inside of on_chunk") {
        fixture.act = [&](std::string_view) {
            fixture.http.reset();
            CHECK(fixture.record.reported);
            CHECK(fixture.second.reported);
        };
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return fixture.calls != 0; });
    }
    SECTION("inside of an answer") {
        std::optional<curl::Http::Handle> third;
        third = fixture.http->request(
            {.url = server.url("/hello")},
            Completion<HttpResponse>{
                [&](std::optional<HttpResponse>) noexcept { fixture.http.reset(); }});
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return !fixture.http; });
    }
    SECTION("at a deadline") {
        std::optional<curl::Http::Handle> third;
        third = fixture.http->request(
            {.url = server.url("/never"), .deadline = 10ms},
            Completion<HttpResponse>{
                [&](std::optional<HttpResponse>) noexcept { fixture.http.reset(); }});
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        fixture.until([&] { return !fixture.http; });
    }
    SECTION("by assigning another client") {
        fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
        *fixture.http = curl::Http{fixture.loop};
        CHECK(fixture.record.reported);
        RequestRecord hello;
        const auto fresh = fixture.http->request({.url = server.url("/hello")}, hello.completion());
        fixture.until([&] { return hello.reported; });
        CHECK(hello.response->body == "hello");
    }
    CHECK(fixture.record.reported);
    CHECK_FALSE(fixture.record.response);
    CHECK(fixture.second.reported);
    CHECK_FALSE(fixture.second.response);
    const int calls = fixture.calls;
    fixture.settle();
    CHECK(fixture.calls == calls);
    CHECK(fixture.loop.watched() == 0);
    // The handles outlive the client.
    fixture.handle.reset();
    fixture.other.reset();
}

TEST_CASE("A request that starts inside on_chunk, or inside a completion, works like others",
          "[curl][http_stream][unit]") {
    HttpServer server;
    StreamFixture fixture{server};
    fixture.act = [&](std::string_view) {
        if (fixture.other) return;
        fixture.other =
            fixture.http->request({.url = server.url("/hello")}, fixture.second.completion());
        CHECK_FALSE(fixture.second.reported);
    };
    fixture.handle = fixture.http->request(fixture.stream(), fixture.record.completion());
    fixture.until([&] { return fixture.second.reported; });
    CHECK(fixture.second.response->body == "hello");
    CHECK_FALSE(fixture.record.reported);
    // A request that is dropped before libcurl has returned never begins.
    fixture.act = [&](std::string_view) {
        RequestRecord nobody;
        const auto gone = fixture.http->request({.url = server.url("/echo")}, nobody.completion());
    };
    server.send_command("say a");
    const int calls = fixture.calls;
    fixture.until([&] { return fixture.calls != calls; });
    StreamRig other;
    CHECK(other.requests_received(server, "GET /echo") == 0);

    RequestRecord third;
    std::optional<curl::Http::Handle> next;
    const auto first = fixture.http->request(
        {.url = server.url("/hello")},
        Completion<HttpResponse>{[&](std::optional<HttpResponse>) noexcept {
            next = fixture.http->request({.url = server.url("/hello")}, third.completion());
        }});
    fixture.until([&] { return third.reported; });
    CHECK(third.response->body == "hello");
}

TEST_CASE("A request that is destroyed inside its on_chunk may own another, which ends with it",
          "[curl][http_stream][fault]") {
    HttpServer server;
    StreamFixture fixture{server};
    RequestRecord owned;
    // It is the first of the requests under way.
    auto inner = std::make_shared<std::optional<curl::Http::Handle>>();
    *inner = fixture.http->request({.url = server.url("/never"), .deadline = forever},
                                   owned.completion());
    HttpRequest outer = fixture.stream();
    outer.on_chunk = [&fixture, owner = std::move(inner)](const HttpResponse&,
                                                          std::string_view) noexcept {
        ++fixture.calls;
        fixture.handle.reset();
    };
    fixture.handle = fixture.http->request(std::move(outer), fixture.record.completion());
    fixture.until([&] { return fixture.calls != 0; });
    CHECK(fixture.record.reported);
    CHECK(owned.reported);
    CHECK_FALSE(owned.response);
    fixture.settle();
    CHECK(fixture.calls == 1);
    RequestRecord hello;
    const auto fresh = fixture.http->request({.url = server.url("/hello")}, hello.completion());
    fixture.until([&] { return hello.reported; });
    CHECK(hello.response->body == "hello");
}

TEST_CASE("A handle that outlives its answer has no effect, and a client can be moved",
          "[curl][http_stream][unit]") {
    HttpServer server;
    posix::Loop loop;
    curl::Http first{loop};
    RequestRecord record;
    std::optional<curl::Http::Handle> handle =
        first.request({.url = server.url("/hello")}, record.completion());
    curl::Http http{std::move(first)};
    REQUIRE(loop.run_until([&] { return record.reported; }, belay_test::wait_max));
    CHECK(record.response->body == "hello");
    handle.reset();
    CHECK(record.response);
}

TEST_CASE("curl::Http completes many requests at once although some are destroyed",
          "[curl][http_stream][unit]") {
    HttpServer server;
    StreamFixture fixture{server};
    std::vector<RequestRecord> record(60);
    std::vector<std::optional<curl::Http::Handle>> handles(60);
    for (std::size_t i = 0; i < record.size(); ++i) {
        const bool hangs = i % 3 == 0;
        handles[i] = fixture.http->request({.url = server.url(hangs ? "/never" : "/hello"),
                                            .deadline = hangs ? 200ms : Duration{30s}},
                                           record[i].completion());
    }
    for (std::size_t i = 0; i < record.size(); i += 5) handles[i].reset();
    fixture.until([&] {
        return std::all_of(record.begin(), record.end(), [](auto& a) { return a.reported; });
    });
    for (std::size_t i = 0; i < record.size(); ++i) {
        INFO(i);
        CHECK(record[i].response.has_value() == (i % 5 != 0));
        if (!record[i].response) continue;
        CHECK(record[i].response->complete() == (i % 3 != 0));
    }
}
