// SPDX-License-Identifier: MIT
// Goal: scenes are stored on a real MCP server and fetched again, in both of its modes, over all
// failures of the server. Method: the server of the protocol's own SDK, killed, restarted, frozen,
// and with injected faults; libcurl.
#include <belay/mcp/remote.hpp>
#include <belay/sync/bridge_check.hpp>

#include <belay/call/call_text.hpp>
#include <belay/call/policies.hpp>
#include <belay/core/tee.hpp>
#include <belay/curl/http.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sync/bridge.hpp>

#include <thread>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/mcp/mcp_server.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

using Requests = std::vector<std::string>;

/// A remote on its own loop, and its caller.
struct McpRig {
    explicit McpRig(const McpServer& server, mcp::Options options = {})
        : remote{curl::Http{loop}, server.url(), std::move(options)} {
        loop.attach(remote);
    }

    template <class V>
    V wait(driver::Question<V>& question) {
        REQUIRE(loop.run_until([&] { return question.answered(); }, belay_test::wait_max));
        auto answer = question.take();
        REQUIRE(answer);
        return std::move(*answer);
    }
    Result<std::optional<Scene<json>>, Failure> fetch(const std::string& session) {
        driver::Question<Result<std::optional<Scene<json>>, Failure>> question;
        remote.fetch(session, question.ask());
        return wait(question);
    }
    Failure push(const std::string& session, json content, std::int64_t time = 1) {
        driver::Question<Failure> question;
        remote.push(session, {std::move(content), Stamp{.wall = WallTime{Duration{time}}}},
                    question.ask());
        return wait(question);
    }
    Failure close() {
        driver::Question<Failure> question;
        remote.close(question.ask());
        return wait(question);
    }

    posix::Loop<> loop;
    mcp::Remote<curl::Http> remote;
};

std::vector<std::string> in_mode(bool as_json, std::vector<std::string> more = {}) {
    if (as_json) more.push_back("--json");
    return more;
}

}  // namespace

TEST_CASE("mcp::Remote follows the rules of a remote side", "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    const McpServer server;
    struct Rig : McpRig {
        using McpRig::McpRig;
        void run_once() {
            loop.run_until([] { return false; }, 1ms);
        }
    };
    const auto broken = check::remote_side([&] { return std::make_unique<Rig>(server); },
                                           [](std::uint32_t i) {
                                               return json{{"number", i}};
                                           });
    INFO((broken ? to_string(*broken) : ""));
    CHECK_FALSE(broken);
}

TEST_CASE("mcp::Remote stores scenes in the SDK's server", "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    const bool as_json = GENERATE(true, false);
    CAPTURE(as_json);
    McpServer& server = McpServer::shared(as_json);
    McpRig rig{server};
    // A number that JavaScript cannot represent.
    constexpr std::int64_t time = 1'795'287'202'146'240'873;
    CHECK(rig.push("board", {{"shapes", 2}}, time).cause == Cause::none);
    const Result<std::optional<Scene<json>>, Failure> scene = rig.fetch("board");
    REQUIRE(scene);
    REQUIRE(*scene);
    CHECK((*scene)->content == json{{"shapes", 2}});
    CHECK((*scene)->stamp == Stamp{.wall = WallTime{Duration{time}}});
    CHECK(rig.close().cause == Cause::none);
    CHECK(server.requests() ==
          Requests{"POST initialize - -", "POST notifications/initialized session 2025-06-18",
                   "POST tools/call session 2025-06-18", "POST tools/call session 2025-06-18",
                   "DELETE - session 2025-06-18"});
}

TEST_CASE("mcp::Remote reports rejections by the server, and results without a scene",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    const bool as_json = GENERATE(true, false);
    CAPTURE(as_json);
    McpServer server{in_mode(as_json, {"--strict"})};
    std::vector<std::string> output;
    const auto judge = [&output](const mcp::Error& error) noexcept {
        output.push_back(error.message());
        return false;
    };
    McpRig rig{server, {.is_retryable = judge}};
    CHECK(rig.fetch("nobody").error().error() == mcp::Errc::tool_failed);
    CHECK(output == std::vector<std::string>{"permanent: the tool failed (no scene nobody)"});
    CHECK(rig.push("board", {{"refuse", true}}).error() == mcp::Errc::tool_failed);
    CHECK(rig.push("board", "\xff").error() == mcp::Errc::bad_scene);
    for (const char* form : {R"({"ts":1})", R"({"content":1,"stamp":7})", "[]", "7"}) {
        server.order(std::string{"put odd "} + form);
        CHECK(rig.fetch("odd").error().error() == mcp::Errc::no_scene);
    }

    McpRig knowing{server, {.is_missing = [](const mcp::Error& error) noexcept {
                       return error.text.starts_with("no scene");
                   }}};
    const Result<std::optional<Scene<json>>, Failure> missing = knowing.fetch("nobody");
    REQUIRE(missing);
    CHECK_FALSE(*missing);
    CHECK(knowing.push("board", {{"refuse", true}}).error() == mcp::Errc::tool_failed);

    McpRig plain{McpServer::shared(as_json)};
    const Result<std::optional<Scene<json>>, Failure> none = plain.fetch("nobody");
    REQUIRE(none);
    CHECK_FALSE(*none);

    McpRig other{server, {.fetch_tool = "no_such_tool", .is_retryable = judge}};
    CHECK(other.fetch("board").error().cause == Cause::permanent);
    CHECK(output.back().find("no_such_tool") != std::string::npos);
}

TEST_CASE("mcp::Remote continues with a server that was killed and restarted",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    const bool as_json = GENERATE(true, false);
    CAPTURE(as_json);
    auto server = std::make_unique<McpServer>(in_mode(as_json));
    const std::string port = std::to_string(server->port);
    McpRig rig{*server};
    REQUIRE(rig.push("board", 1).cause == Cause::none);
    server->kill();
    const Failure away = rig.push("board", 2);
    CHECK((away.cause == Cause::refused || away.cause == Cause::lost));
    server = std::make_unique<McpServer>(in_mode(as_json, {"--port", port}));
    // One call: it gets the error that its session is lost, and starts another one.
    CHECK(rig.push("board", 3).cause == Cause::none);
    CHECK(server->requests() == Requests{"POST tools/call session 2025-06-18",
                                         "POST initialize - -",
                                         "POST notifications/initialized session 2025-06-18",
                                         "POST tools/call session 2025-06-18"});
}

TEST_CASE("mcp::Remote starts a new session with a server that knows only one",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    McpServer server{{"--one-session"}};
    McpRig rig{server};
    REQUIRE(rig.push("board", 1).cause == Cause::none);
    server.order("forget");
    CHECK(rig.push("board", 2).cause == Cause::none);
}

TEST_CASE("mcp::Remote ends a call to a frozen server in time, and cancels it",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    const bool as_json = GENERATE(true, false);
    CAPTURE(as_json);
    McpServer& server = McpServer::shared(as_json);
    McpRig rig{server, {.timeout = 300ms}};
    // A busy machine may need more time.
    const auto push_until_taken = [&](int number) {
        while (rig.push("board", number).cause == Cause::timed_out) {
        }
    };
    push_until_taken(1);
    server.freeze();
    CHECK(rig.push("board", 2).cause == Cause::timed_out);
    server.thaw();
    server.order("hang");
    CHECK(rig.fetch("board").error().cause == Cause::timed_out);
    rig.loop.run_until([] { return false; }, 1ms);
    server.line_with("request POST notifications/cancelled session");
    push_until_taken(3);
    CHECK(rig.fetch("board"));
}

TEST_CASE("mcp::Remote cancels a call that was abandoned", "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    McpServer& server = McpServer::shared(false);
    McpRig rig{server};
    REQUIRE(rig.push("board", 1).cause == Cause::none);
    server.order("hang");
    driver::Question<Result<std::optional<Scene<json>>, Failure>> question;
    rig.remote.fetch("board", question.ask());
    driver::Question<Failure> beside;
    rig.remote.push("other", {1, {}}, beside.ask());
    rig.wait(beside);
    server.line_with("hangs");
    question.drop();
    // Any turn detects it.
    REQUIRE(rig.push("board", 2).cause == Cause::none);
    server.line_with("cancelled");
}

TEST_CASE("mcp::Remote uses the status: 503 with and without Retry-After, redirections",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    McpServer& server = McpServer::shared(false);
    McpRig rig{server};
    server.order("status 503 - 1");
    CHECK(rig.push("board", 1) == http_failure(503));
    server.order("status 503 2 1");
    CHECK(rig.push("board", 1) == http_failure(503, 2s));
    server.order("status 429 7 1");
    CHECK(rig.push("board", 1) == http_failure(429, 7s));
    server.order("status 307 - 1");
    CHECK(rig.push("board", 1) == http_failure(307));
    CHECK(rig.push("board", 1).cause == Cause::none);
    server.order("status 503 2 1");
    CHECK(rig.fetch("board").error() == http_failure(503, 2s));
    CHECK(rig.fetch("board"));
}

TEST_CASE("mcp::Remote rejects invalid responses with the reason, and continues",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    struct Row {
        const char* type;
        const char* body;  // as base64
        std::error_code error;
    };
    const Row rows[] = {
        {"application/json", "", mcp::Errc::no_answer},
        {"application/json", "PGh0bWw+", mcp::Errc::not_json},
        {"application/json", "eyJqc29ucnBjIjoiMi4wIn0=", mcp::Errc::bad_message},
        {"text/html", "PGh0bWw+", mcp::Errc::bad_type},
        {"text/event-stream", "ZGF0YTogPGh0bWw+Cgo=", mcp::Errc::not_json},
        {"text/event-stream", "OiBub3RoaW5nCgo=", mcp::Errc::no_answer},
    };
    McpServer& server = McpServer::shared(false);
    McpRig rig{server};
    REQUIRE(rig.push("board", 1).cause == Cause::none);
    for (const Row& row : rows) {
        CAPTURE(row.type, row.body);
        server.order(std::string{"raw "} + row.type + " " + row.body);
        CHECK(rig.fetch("board").error().error() == row.error);
        CHECK(rig.fetch("board"));
    }
    McpRig narrow{server, {.answer_bytes_max = 400}};
    REQUIRE(narrow.push("board", std::string(1000, 'x')).cause == Cause::none);
    CHECK(narrow.fetch("board").error().error() == HttpErrc::too_long);
}

TEST_CASE("mcp::Remote does not accept an answer that is cut anywhere",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    const bool as_json = GENERATE(true, false);
    CAPTURE(as_json);
    McpServer& server = McpServer::shared(as_json);
    McpRig rig{server};
    REQUIRE(rig.push("board", "x").cause == Cause::none);
    std::size_t lost = 0;
    for (int length = 0;; ++length) {
        server.order("cut " + std::to_string(length));
        const Result<std::optional<Scene<json>>, Failure> scene = rig.fetch("board");
        if (scene) {
            REQUIRE(*scene);
            CHECK((*scene)->content == "x");
        } else {
            ++lost;
            CHECK(scene.error().cause == Cause::lost);
        }
        std::string how;
        while (how != "cut" && how != "whole") how = server.line_with("");
        if (how == "whole") break;
    }
    CHECK(lost > 100);
    CHECK(rig.fetch("board"));
}

TEST_CASE("mcp::Remote answers a server's ping, and rejects its other requests",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    McpServer& server = McpServer::shared(false);
    McpRig rig{server};
    server.order("ask");
    CHECK(rig.push("board", 1).cause == Cause::none);
    server.line_with("pong");
    server.line_with("refused -32601");
}

namespace {

/// Answers with `next`, on its own thread.
struct SlowSource {
    using token_type = std::string;
    struct State {
        std::string next;
        int asked = 0;
        std::thread thread{};
        ~State() {
            if (thread.joinable()) thread.join();
        }
    };
    State* state;
    void operator()(Completion<std::string> completion) const {
        ++state->asked;
        if (state->thread.joinable()) state->thread.join();
        state->thread = std::thread{
            [token = state->next, answer = std::move(completion)]() mutable { answer(token); }};
    }
};
/// A source without a token.
struct NoSource {
    using token_type = std::string;
    void operator()(const Completion<std::string>&) const {}
};

}  // namespace

TEST_CASE("mcp::Remote requests a token before each request, and another one after 401",
          "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    McpServer server{{"--token", "first"}};
    SlowSource::State tokens{.next = "first"};
    McpRig rig{server, {.token = SlowSource{&tokens}}};
    CHECK(rig.push("board", 1).cause == Cause::none);
    CHECK(tokens.asked == 3);
    server.order("token second");
    const Failure refused = rig.push("board", 2);
    CHECK(refused.cause == Cause::unauthorized);
    CHECK(refused.code == 401);
    static_cast<void>(server.requests());
    // The request is not sent again, and the server gets none.
    CHECK(rig.push("board", 2).error() == mcp::Errc::credentials_needed);
    CHECK(server.requests() == Requests{});
    tokens.next = "second";
    CHECK(rig.push("board", 2).cause == Cause::none);
    server.order("status 403 - 1");
    CHECK(rig.push("board", 3).cause == Cause::unauthorized);
    CHECK(rig.push("board", 3).error() == mcp::Errc::credentials_needed);

    McpRig without{server, {.token = NoSource{}}};
    CHECK(without.push("board", 3).error() == LinkErrc::no_token);
    McpRig bare{server};
    CHECK(bare.push("board", 3).code == 401);
    CHECK(bare.push("board", 3).code == 401);
}

namespace {

/// A local side with one session, in memory.
struct LocalScene {
    using content_type = json;
    std::optional<Scene<json>> scene;
    std::vector<std::string> sessions() { return {"board"}; }
    Result<std::optional<Scene<json>>> read(std::string_view) { return scene; }
    std::error_code apply(std::string_view, Scene<json> newer, Origin) {
        scene = std::move(newer);
        return {};
    }
};
struct Pushes {
    int count = 0;
    void on_pushed(std::string_view, const Stamp&) { ++count; }
};
struct FirstToken {
    using token_type = std::string;
    void operator()(Completion<std::string> completion) const { completion("very-secret"); }
};

}  // namespace

TEST_CASE(
    "A bridge over mcp::Remote retries after the server's delay, and logs it without the token",
    "[mcp][remote][integration]") {
    if (!McpServer::is_here()) return;
    McpServer server{{"--token", "very-secret"}};
    server.order("status 503 1 2");
    LocalScene local{Scene<json>{{{"shapes", 1}}, Stamp{.wall = WallTime{Duration{5}}}}};
    std::vector<std::string> lines;
    const auto log = [&lines](std::string_view line) { lines.emplace_back(line); };
    posix::Loop<> loop;
    Bridge bridge{std::ref(local),
                  mcp::Remote{curl::Http{loop}, server.url(), {.token = FirstToken{}}},
                  policies::bridge(), BridgeOptions{.pull = {.interval = 100ms}},
                  Tee{RetryLog{log}, Pushes{}}};
    loop.attach(bridge);
    bridge.start();
    bridge.changed("board");
    const Pushes& pushes = bridge.observer().get<1>();
    REQUIRE(loop.run_until([&] { return pushes.count == 1; }, belay_test::wait_max));
    REQUIRE(lines.size() >= 2);
    CHECK(
        lines[0].starts_with("call: attempt 1 failed (overloaded: status 503); the next one in 1"));
    for (const std::string& line : lines) CHECK(line.find("very-secret") == std::string::npos);

    // A change by another client is pulled, and no part of it is pushed back.
    server.order(R"(put board {"content":"theirs","stamp":{"wall":"9","counter":0,)"
                 R"("origin":"07000000000000000000000000000000"}})");
    REQUIRE(loop.run_until([&] { return local.scene->content == "theirs"; }, belay_test::wait_max));
    bridge.stop();
    REQUIRE(loop.run_until([&] { return bridge.ended(); }, belay_test::wait_max));
    CHECK(pushes.count == 1);
    server.line_with("request DELETE");
    CHECK(local.scene->stamp.wall == WallTime{Duration{9}});
}
