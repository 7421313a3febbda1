// SPDX-License-Identifier: MIT
// Goal: bodies arrive in pieces after their status; handles and clients may be destroyed at any
// moment, also inside their own callbacks. Method: a real server that the test controls.
#include <belay/adapter/curl_http.hpp>

#include <memory>
#include <string>
#include <vector>

#include "support/adapter/http_rig.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Asked;
using belay_test::HttpServer;

namespace {

using StreamRig = belay_test::HttpRig<curl::Http>;
using Pieces = std::vector<std::string>;

/// A client that can end, and a request that may do anything at each piece.
struct Stage {
    explicit Stage(const HttpServer& s) : server{s}, http{std::in_place, loop} {}

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
        REQUIRE(loop.run_until(done, 40s));
    }
    /// What is still in flight would be told now.
    void settle() {
        StreamRig rig;
        CHECK(rig.get(server.url("/hello")).body == "hello");
        REQUIRE(loop.run_until([] { return true; }));
        REQUIRE(loop.run_until([] { return true; }));
    }

    const HttpServer& server;
    Asked asked;
    Asked second;
    int calls = 0;
    std::function<void(std::string_view)> act;
    posix::Loop<> loop;
    std::optional<curl::Http> http;
    std::optional<curl::Http::Handle> handle;
    std::optional<curl::Http::Handle> other;
};

}  // namespace

TEST_CASE("curl::Http delivers pieces as they arrive, status and headers first",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    StreamRig rig;
    Asked asked;
    std::string type;
    const auto handle = rig.http.request(
        {.url = server.url("/stream?text/event-stream"),
         .deadline = forever,
         .body_bytes_max = 5,
         .on_chunk =
             [&, keep = asked.on_chunk()](const HttpResponse& head,
                                          std::string_view piece) mutable noexcept {
                 type = *head.headers.find("content-type");
                 CHECK(head.body.empty());
                 keep(head, piece);
             }},
        asked.completion());
    // Nothing comes out of request() itself.
    CHECK(asked.pieces.empty());
    rig.until([&] { return !asked.pieces.empty(); });
    CHECK(asked.pieces == Pieces{"200:"});
    CHECK(type == "text/event-stream");
    server.tell("say a");
    rig.until([&] { return asked.pieces.size() == 2; });
    server.tell("say bcde");
    rig.until([&] { return asked.pieces.size() == 3; });
    CHECK(asked.pieces == Pieces{"200:", "200:a", "200:bcde"});
    CHECK_FALSE(asked.told);

    SECTION("it ends") {
        server.tell("end");
        rig.until([&] { return asked.told; });
        REQUIRE(asked.response);
        CHECK(asked.response->complete());
        CHECK(asked.response->status == 200);
        CHECK(asked.response->body.empty());
    }
    SECTION("it breaks off") {
        server.tell("cut");
        rig.until([&] { return asked.told; });
        REQUIRE(asked.response);
        CHECK(asked.response->failure == Failure::from(HttpErrc::lost));
    }
    SECTION("it is longer than allowed") {
        server.tell("say f");
        rig.until([&] { return asked.told; });
        REQUIRE(asked.response);
        CHECK(asked.response->failure == Failure::from(HttpErrc::too_long));
    }
    CHECK(asked.pieces.size() == 3);
}

TEST_CASE("curl::Http delivers the pieces of an error response, too",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    StreamRig rig;
    Asked asked;
    const HttpResponse busy =
        rig.ask({.url = server.url("/status/503"), .on_chunk = asked.on_chunk()});
    CHECK(busy.status == 503);
    CHECK(asked.pieces == Pieces{"503:", "503:no"});
    // Of what never answered there is no head.
    Asked silent;
    rig.ask({.url = server.url("/drop"), .on_chunk = silent.on_chunk()});
    CHECK(silent.pieces.empty());
}

TEST_CASE("Destroying the handle aborts a request without calling its completion",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    Stage stage{server};

    SECTION("before it has begun") {
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.handle.reset();
    }
    SECTION("in the middle") {
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return stage.calls == 1; });
        stage.handle.reset();
    }
    SECTION("inside of on_chunk") {
        stage.act = [&](std::string_view) { stage.handle.reset(); };
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return stage.asked.told; });
    }
    SECTION("inside of the first of many pieces") {
        stage.act = [&](std::string_view piece) {
            if (!piece.empty()) stage.handle.reset();
        };
        stage.handle = stage.http->request(stage.stream("/endless"), stage.asked.completion());
        stage.until([&] { return stage.asked.told; });
        CHECK(stage.calls == 2);
    }
    SECTION("inside of the on_chunk of another") {
        stage.other = stage.http->request({.url = server.url("/never")}, stage.asked.completion());
        stage.act = [&](std::string_view) { stage.other.reset(); };
        stage.handle = stage.http->request(stage.stream(), stage.second.completion());
        stage.until([&] { return stage.asked.told; });
        CHECK_FALSE(stage.second.told);
        stage.handle.reset();
    }
    SECTION("by assigning another request to it") {
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return stage.calls == 1; });
        *stage.handle =
            stage.http->request({.url = server.url("/hello")}, stage.second.completion());
        stage.until([&] { return stage.second.told; });
        CHECK(stage.second.response->body == "hello");
    }
    const int calls = stage.calls;
    CHECK(stage.asked.told);
    CHECK_FALSE(stage.asked.response);
    server.tell("say more");
    stage.settle();
    CHECK(stage.calls == calls);
    // The client lives.
    Asked last;
    stage.handle = stage.http->request({.url = server.url("/hello")}, last.completion());
    stage.until([&] { return last.told; });
    CHECK(stage.loop.watched() == 0);
}

TEST_CASE("Destroying a client aborts its requests without calling their completions",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    Stage stage{server};
    stage.other = stage.http->request({.url = server.url("/never")}, stage.second.completion());

    SECTION("outside") {
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return stage.calls == 1; });
        stage.http.reset();
    }
    SECTION("before anything has begun") {
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.http.reset();
    }
    SECTION("inside of on_chunk") {
        stage.act = [&](std::string_view) {
            stage.http.reset();
            CHECK(stage.asked.told);
            CHECK(stage.second.told);
        };
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return stage.calls != 0; });
    }
    SECTION("inside of an answer") {
        std::optional<curl::Http::Handle> third;
        third =
            stage.http->request({.url = server.url("/hello")},
                                Completion<HttpResponse>{[&](std::optional<HttpResponse>) noexcept {
                                    stage.http.reset();
                                }});
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return !stage.http; });
    }
    SECTION("at a deadline") {
        std::optional<curl::Http::Handle> third;
        third =
            stage.http->request({.url = server.url("/never"), .deadline = 10ms},
                                Completion<HttpResponse>{[&](std::optional<HttpResponse>) noexcept {
                                    stage.http.reset();
                                }});
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        stage.until([&] { return !stage.http; });
    }
    SECTION("by assigning another client") {
        stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
        *stage.http = curl::Http{stage.loop};
        CHECK(stage.asked.told);
        Asked hello;
        const auto fresh = stage.http->request({.url = server.url("/hello")}, hello.completion());
        stage.until([&] { return hello.told; });
        CHECK(hello.response->body == "hello");
    }
    CHECK(stage.asked.told);
    CHECK_FALSE(stage.asked.response);
    CHECK(stage.second.told);
    CHECK_FALSE(stage.second.response);
    const int calls = stage.calls;
    stage.settle();
    CHECK(stage.calls == calls);
    CHECK(stage.loop.watched() == 0);
    // The handles outlive it.
    stage.handle.reset();
    stage.other.reset();
}

TEST_CASE("A request that starts inside on_chunk, or a completion, is like others",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    Stage stage{server};
    stage.act = [&](std::string_view) {
        if (stage.other) return;
        stage.other = stage.http->request({.url = server.url("/hello")}, stage.second.completion());
        CHECK_FALSE(stage.second.told);
    };
    stage.handle = stage.http->request(stage.stream(), stage.asked.completion());
    stage.until([&] { return stage.second.told; });
    CHECK(stage.second.response->body == "hello");
    CHECK_FALSE(stage.asked.told);
    // One that is dropped before libcurl has returned never begins.
    stage.act = [&](std::string_view) {
        Asked nobody;
        const auto gone = stage.http->request({.url = server.url("/echo")}, nobody.completion());
    };
    server.tell("say a");
    const int calls = stage.calls;
    stage.until([&] { return stage.calls != calls; });
    StreamRig other;
    CHECK(other.seen(server, "GET /echo") == 0);

    Asked third;
    std::optional<curl::Http::Handle> next;
    const auto first = stage.http->request(
        {.url = server.url("/hello")},
        Completion<HttpResponse>{[&](std::optional<HttpResponse>) noexcept {
            next = stage.http->request({.url = server.url("/hello")}, third.completion());
        }});
    stage.until([&] { return third.told; });
    CHECK(third.response->body == "hello");
}

TEST_CASE("A request that is destroyed inside its on_chunk may own another, which ends with it",
          "[adapter][curl_http_stream][fault]") {
    HttpServer server;
    Stage stage{server};
    Asked owned;
    // The first among those under way.
    auto inner = std::make_shared<std::optional<curl::Http::Handle>>();
    *inner =
        stage.http->request({.url = server.url("/never"), .deadline = forever}, owned.completion());
    HttpRequest outer = stage.stream();
    outer.on_chunk = [&stage, owner = std::move(inner)](const HttpResponse&,
                                                        std::string_view) noexcept {
        ++stage.calls;
        stage.handle.reset();
    };
    stage.handle = stage.http->request(std::move(outer), stage.asked.completion());
    stage.until([&] { return stage.calls != 0; });
    CHECK(stage.asked.told);
    CHECK(owned.told);
    CHECK_FALSE(owned.response);
    stage.settle();
    CHECK(stage.calls == 1);
    Asked hello;
    const auto fresh = stage.http->request({.url = server.url("/hello")}, hello.completion());
    stage.until([&] { return hello.told; });
    CHECK(hello.response->body == "hello");
}

TEST_CASE("A handle that outlives its answer has no effect, and a client can be moved",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    posix::Loop loop;
    curl::Http first{loop};
    Asked asked;
    std::optional<curl::Http::Handle> handle =
        first.request({.url = server.url("/hello")}, asked.completion());
    curl::Http http{std::move(first)};
    REQUIRE(loop.run_until([&] { return asked.told; }, 40s));
    CHECK(asked.response->body == "hello");
    handle.reset();
    CHECK(asked.response);
}

TEST_CASE("Many requests at once, of which some are destroyed",
          "[adapter][curl_http_stream][unit]") {
    HttpServer server;
    Stage stage{server};
    std::vector<Asked> asked(60);
    std::vector<std::optional<curl::Http::Handle>> handles(60);
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const bool hangs = i % 3 == 0;
        handles[i] = stage.http->request({.url = server.url(hangs ? "/never" : "/hello"),
                                          .deadline = hangs ? 200ms : Duration{30s}},
                                         asked[i].completion());
    }
    for (std::size_t i = 0; i < asked.size(); i += 5) handles[i].reset();
    stage.until(
        [&] { return std::all_of(asked.begin(), asked.end(), [](auto& a) { return a.told; }); });
    for (std::size_t i = 0; i < asked.size(); ++i) {
        INFO(i);
        CHECK(asked[i].response.has_value() == (i % 5 != 0));
        if (!asked[i].response) continue;
        CHECK(asked[i].response->complete() == (i % 3 != 0));
    }
}
