// SPDX-License-Identifier: MIT
// Goal: mcp::Remote works over any HTTP client and any token source: one that answers at once,
// never, with a failure or an exception, or that destroys it. Method: a scripted HTTP client.
#include <belay/core/clocks.hpp>

#include <belay/drive/manual_loop.hpp>
#include <belay/mcp/remote.hpp>

#include <functional>
#include <stdexcept>

#include "support/catch.hpp"

using namespace belay;
using nlohmann::json;

namespace {

/// One request to an HTTP client.
struct RequestLog {
    struct One {
        One(HttpRequest asked, Completion<HttpResponse> answer)
            : request{std::move(asked)}, completion{std::move(answer)} {}
        HttpRequest request;
        Completion<HttpResponse> completion;
        bool aborted = false;
    };
    std::vector<std::unique_ptr<One>> all;
    /// If set, answers inside of request().
    std::function<HttpResponse(const HttpRequest&)> at_once{};
    bool out_of_memory = false;

    [[nodiscard]] One& last() { return *all.back(); }
    [[nodiscard]] std::size_t open() const {
        return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& one) {
            return !one->aborted && one->completion.wanted();
        }));
    }
};

struct HandHttp {
    struct Handle {
        explicit Handle(RequestLog::One& one) : of{&one} {}
        Handle(Handle&& other) noexcept : of{std::exchange(other.of, nullptr)} {}
        Handle& operator=(Handle&&) = delete;
        ~Handle() {
            if (of != nullptr) of->aborted = true;
        }
        RequestLog::One* of;
    };
    RequestLog* calls;

    Handle request(HttpRequest request, Completion<HttpResponse> completion) {
        if (std::exchange(calls->out_of_memory, false)) throw std::bad_alloc{};
        calls->all.push_back(
            std::make_unique<RequestLog::One>(std::move(request), std::move(completion)));
        RequestLog::One& one = calls->last();
        if (calls->at_once) one.completion(calls->at_once(one.request));
        return Handle{one};
    }
};

std::uint64_t id_in(const HttpRequest& request) {
    const json message = json::parse(request.body);
    return message.value("id", std::uint64_t{0});
}
HttpResponse with_result(const HttpRequest& request, const json& result) {
    const json body{{"jsonrpc", "2.0"}, {"id", id_in(request)}, {"result", result}};
    return {.status = 200,
            .headers = {{"Content-Type", "application/json"}, {"Mcp-Session-Id", "s-1"}},
            .body = body.dump()};
}
/// The answers of a server that has one scene for all sessions.
HttpResponse served(const HttpRequest& request) {
    if (request.method == "DELETE") return {.status = 200};
    const json message = json::parse(request.body);
    if (message.at("method") == "initialize") {
        return with_result(request, {{"protocolVersion", "2025-06-18"}});
    }
    if (!message.contains("id")) return {.status = 202};
    const json scene = Scene<json>{1, {}};
    return with_result(request, {{"structuredContent", scene}});
}

/// Answers like an HTTP client: the body in pieces, then the end.
void deliver(RequestLog::One& one, HttpResponse response) {
    const std::string body = std::exchange(response.body, "");
    one.request.on_chunk(response, "");
    if (!body.empty()) one.request.on_chunk(response, body);
    one.completion(std::move(response));
}

struct Rig {
    explicit Rig(mcp::Options options = {})
        : remote{std::make_unique<mcp::Remote<HandHttp>>(HandHttp{&calls}, "http://x/mcp",
                                                         std::move(options))} {
        loop.attach(*remote);
    }
    void turn() {
        for (int polls = 0; loop.poll() == always; ++polls) REQUIRE(polls < 20);
    }
    /// Serves all requests, until there are none.
    void serve() {
        turn();
        for (std::size_t i = 0; i < calls.all.size(); ++i) {
            RequestLog::One& one = *calls.all[i];
            if (!one.aborted && one.completion.wanted()) deliver(one, served(one.request));
            turn();
        }
    }

    /// Makes one call, and answers its last request. Returns the call's failure.
    Failure call(const std::function<HttpResponse(const HttpRequest&)>& answer) {
        driver::Question<Failure> question;
        remote->push("a", {1, {}}, question.ask());
        turn();
        for (std::size_t i = 0; i < calls.all.size(); ++i) {
            RequestLog::One& one = *calls.all[i];
            if (!one.aborted && one.completion.wanted()) deliver(one, answer(one.request));
            turn();
        }
        REQUIRE(question.answered());
        return *question.take();
    }

    RequestLog calls{};
    ManualClock clock{};
    ManualLoop<ManualClock::View> loop{clock.view()};
    std::unique_ptr<mcp::Remote<HandHttp>> remote;
};

/// A value without a JSON form.
struct Unwritable {};
[[noreturn]] void to_json(json&, const Unwritable&) { throw std::runtime_error{"unwritable"}; }
[[maybe_unused]] void from_json(const json&, Unwritable&) {}

/// A source whose behaviour the test sets.
struct FunctionSource {
    using token_type = std::string;
    std::function<void(Completion<std::string>)>* supply;
    void operator()(Completion<std::string> completion) const { (*supply)(std::move(completion)); }
};
using TokenFunction = std::function<void(Completion<std::string>)>;

/// A source with one token that was accepted, and two calls under way.
struct TwoCalls {
    TokenFunction supply = [](Completion<std::string> c) { c("token"); };
    driver::Question<Failure> first;
    driver::Question<Failure> second;
};
struct TwoCallsRig : TwoCalls, Rig {
    TwoCallsRig() : Rig{{.token = FunctionSource{&supply}}} {
        CHECK(call(served).cause == Cause::none);
        remote->push("a", {1, {}}, first.ask());
        remote->push("b", {1, {}}, second.ask());
        turn();
    }
};

}  // namespace

static_assert(RemoteLike<mcp::Remote<HandHttp>>);
static_assert(MachineLike<mcp::Remote<HandHttp>>);
static_assert(RemoteLike<mcp::Remote<std::reference_wrapper<HandHttp>, std::string>>);
static_assert(std::is_nothrow_move_constructible_v<mcp::Remote<HandHttp>>);

TEST_CASE("mcp::Remote sends the requests of the protocol, and none before the first call",
          "[mcp][client][unit]") {
    Rig rig;
    rig.turn();
    CHECK(rig.calls.all.empty());
    CHECK(rig.remote->deadline() == never);
    driver::Question<Result<std::optional<Scene<json>>, Failure>> question;
    rig.remote->fetch("a", question.ask());
    CHECK(rig.remote->deadline() == always);
    rig.serve();
    REQUIRE(question.answered());
    CHECK(rig.remote->deadline() == never);
    REQUIRE(rig.calls.all.size() == 3);
    for (const auto& one : rig.calls.all) {
        CHECK(one->request.url == "http://x/mcp");
        CHECK(one->request.method == "POST");
        CHECK(*one->request.headers.find("Accept") == "application/json, text/event-stream");
        CHECK(*one->request.headers.find("Content-Type") == "application/json");
        CHECK(one->request.headers.find("Authorization") == nullptr);
        CHECK_FALSE(one->request.redirects);
        CHECK(one->request.deadline == std::chrono::seconds{30});
    }
    CHECK(rig.calls.all[0]->request.headers.find("Mcp-Session-Id") == nullptr);
    CHECK(*rig.calls.last().request.headers.find("Mcp-Session-Id") == "s-1");
    CHECK(*rig.calls.last().request.headers.find("MCP-Protocol-Version") == "2025-06-18");
}

TEST_CASE("mcp::Remote works with a client that answers inside the request",
          "[mcp][client][unit]") {
    Rig rig;
    // No piece was delivered, so the body is lost: a client must deliver pieces after request()
    // returns.
    rig.calls.at_once = [](const HttpRequest&) {
        return HttpResponse{.failure = Failure::from(HttpErrc::bad_url), .sent = false};
    };
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.turn();
    REQUIRE(question.answered());
    CHECK(question.take()->error() == HttpErrc::bad_url);
}

TEST_CASE("mcp::Remote fetches no scene if is_missing recognizes an error of JSON-RPC or the tool",
          "[mcp][client][unit][regression]") {
    const bool of_tool = GENERATE(false, true);
    const bool recognized = GENERATE(false, true);
    mcp::Options options;
    options.is_missing = [recognized](const mcp::Error&) noexcept { return recognized; };
    Rig rig{std::move(options)};
    driver::Question<Result<std::optional<Scene<json>>, Failure>> question;
    rig.remote->fetch("nobody", question.ask());
    rig.turn();
    for (std::size_t i = 0; i < rig.calls.all.size(); ++i) {
        RequestLog::One& one = *rig.calls.all[i];
        const json message = json::parse(one.request.body);
        HttpResponse response = served(one.request);
        if (message.at("method") == "tools/call") {
            const json text = json::array({{{"type", "text"}, {"text", "no scene"}}});
            json body{{"jsonrpc", "2.0"}, {"id", id_in(one.request)}};
            if (of_tool) {
                body["result"] = {{"isError", true}, {"content", text}};
            } else {
                body["error"] = {{"code", -32002}, {"message", "no scene"}};
            }
            response.body = body.dump();
        }
        deliver(one, std::move(response));
        rig.turn();
    }
    REQUIRE(question.answered());
    const auto scene = question.take();
    REQUIRE(scene->has_value() == recognized);
    if (recognized) CHECK_FALSE(**scene);
}

TEST_CASE("mcp::Remote fails its calls when the client ends, or has no memory",
          "[mcp][client][unit]") {
    Rig rig;
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.turn();
    static_cast<void>(Completion<HttpResponse>{std::move(rig.calls.last().completion)});
    rig.turn();
    REQUIRE(question.answered());
    CHECK(question.take()->error() == HttpErrc::client_failed);

    rig.calls.out_of_memory = true;
    rig.remote->push("a", {1, {}}, question.ask());
    CHECK_THROWS_AS(rig.turn(), std::bad_alloc);
    rig.turn();
    REQUIRE(question.answered());
    CHECK(question.take()->error() == HttpErrc::client_failed);

    rig.remote->push("a", {1, {}}, question.ask());
    rig.serve();
    REQUIRE(question.answered());
    CHECK(question.take()->cause == Cause::none);
}

TEST_CASE("mcp::Remote::close ends the session, and then completes", "[mcp][client][unit]") {
    Rig rig;
    driver::Question<Failure> question;
    driver::Question<Failure> end;
    SECTION("without a session nothing is sent") {
        rig.remote->close(end.ask());
        rig.turn();
        CHECK(rig.calls.all.empty());
    }
    SECTION("a running call is aborted") {
        rig.remote->push("a", {1, {}}, question.ask());
        rig.turn();
        rig.remote->close(end.ask());
        rig.turn();
        CHECK(rig.calls.open() == 0);
        REQUIRE(question.answered());
        CHECK_FALSE(question.take());
    }
    SECTION("a session is ended") {
        rig.remote->push("a", {1, {}}, question.ask());
        rig.serve();
        rig.remote->push("b", {1, {}}, question.ask());
        rig.turn();
        rig.remote->close(end.ask());
        rig.turn();
        CHECK(rig.calls.open() == 1);
        CHECK(rig.calls.last().request.method == "DELETE");
        CHECK(rig.calls.last().request.deadline == std::chrono::seconds{1});
        CHECK_FALSE(end.answered());
        deliver(rig.calls.last(), {.status = 200});
        rig.turn();
    }
    REQUIRE(end.answered());
    CHECK(end.take() == Failure{});
    CHECK(rig.remote->deadline() == never);
}

TEST_CASE("mcp::Remote limits the streams of a server that does not end them",
          "[mcp][client][unit]") {
    Rig rig;
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.serve();
    for (int i = 0; i < 50; ++i) {
        rig.remote->push("a", {1, {}}, question.ask());
        rig.turn();
        RequestLog::One& one = rig.calls.last();
        const HttpResponse head{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
        const json answer{
            {"jsonrpc", "2.0"}, {"id", id_in(one.request)}, {"result", json::object()}};
        one.request.on_chunk(head, "data: " + answer.dump() + "\n\n");
        rig.turn();
        REQUIRE(question.answered());
        CHECK(question.take()->cause == Cause::none);
        CHECK(rig.calls.open() <= 9);
    }
    CHECK(rig.calls.open() > 0);
}

TEST_CASE("mcp::Remote handles token sources that throw, never answer, or fail",
          "[mcp][client][unit]") {
    TokenFunction supply = [](Completion<std::string>) { throw std::runtime_error{"no vault"}; };
    Rig rig{{.token = FunctionSource{&supply}}};
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    CHECK_THROWS_AS(rig.turn(), std::runtime_error);
    rig.turn();
    REQUIRE(question.answered());
    CHECK(question.take()->error() == LinkErrc::no_token);
    CHECK(rig.calls.all.empty());

    std::optional<Completion<std::string>> kept;
    supply = [&kept](Completion<std::string> c) { kept.emplace(std::move(c)); };
    rig.remote->push("a", {1, {}}, question.ask());
    rig.turn();
    CHECK(rig.calls.all.empty());
    CHECK(rig.remote->deadline() == never);
    // The call was given up meanwhile: nothing is sent, and no token is requested.
    question.drop();
    rig.turn();
    driver::Question<Failure> end;
    rig.remote->close(end.ask());
    rig.turn();
    CHECK_FALSE(kept->wanted());
    CHECK(rig.calls.all.empty());
    CHECK(end.answered());
}

TEST_CASE("mcp::Remote sends the only token of its source again after some time",
          "[mcp][client][regression]") {
    using namespace std::chrono_literals;
    TokenFunction supply = [](Completion<std::string> c) { c("the only one"); };
    Rig rig{{.token = FunctionSource{&supply}}};
    CHECK(rig.call(served).cause == Cause::none);
    // A gateway rejects for a while, as during a rolling update.
    const int status = GENERATE(401, 403);
    const auto rejects = [&](const HttpRequest&) { return HttpResponse{.status = status}; };
    CHECK(rig.call(rejects).code == status);
    for (int round = 0; round < 3; ++round) {
        const std::size_t before = rig.calls.all.size();
        for (int i = 0; i < 4; ++i) {
            CHECK(rig.call(rejects).error() == mcp::Errc::credentials_needed);
            rig.clock.advance(1min);
        }
        CHECK(rig.calls.all.size() == before);
        rig.clock.advance(1min);
        // Only one request is sent, and the other calls wait for its result.
        driver::Question<Failure> other;
        rig.remote->push("b", {1, {}}, other.ask());
        CHECK(rig.call(rejects).error() == mcp::Errc::credentials_needed);
        REQUIRE(other.answered());
        CHECK(other.take()->code == status);
        CHECK(rig.calls.all.size() == before + 1);
    }
    rig.clock.advance(5min);
    CHECK(rig.call(served).cause == Cause::none);
    CHECK(rig.call(served).cause == Cause::none);
}

TEST_CASE("mcp::Remote uses a token again that was accepted on a stream which stays open",
          "[mcp][client][regression]") {
    TokenFunction supply = [](Completion<std::string> c) { c("token"); };
    Rig rig{{.token = FunctionSource{&supply}}};
    CHECK(rig.call(served).cause == Cause::none);
    CHECK(rig.call([](const auto&) { return HttpResponse{.status = 403}; }).code == 403);
    rig.clock.advance(std::chrono::minutes{5});
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.turn();
    HttpRequest& request = rig.calls.last().request;
    const std::string event = "data: " + served(request).body + "\n\n";
    const HttpResponse head{.status = 200, .headers = {{"Content-Type", "text/event-stream"}}};
    request.on_chunk(head, event);
    rig.turn();
    REQUIRE(question.answered());
    CHECK(question.take()->cause == Cause::none);
    CHECK(rig.calls.open() == 1);
    // Several concurrent calls use the token.
    driver::Question<Failure> other;
    rig.remote->push("b", {1, {}}, other.ask());
    CHECK(rig.call(served).cause == Cause::none);
    REQUIRE(other.answered());
    CHECK(other.take()->cause == Cause::none);
}

TEST_CASE("mcp::Remote remembers a rejected token although an older request is then accepted",
          "[mcp][client][regression]") {
    TwoCallsRig rig;
    REQUIRE(rig.calls.open() == 2);
    RequestLog::One& older = *rig.calls.all[rig.calls.all.size() - 2];
    deliver(rig.calls.last(), {.status = 401});
    rig.turn();
    deliver(older, served(older.request));
    rig.turn();
    REQUIRE(rig.first.answered());
    CHECK(rig.first.take()->cause == Cause::none);
    CHECK(rig.call(served).error() == mcp::Errc::credentials_needed);
}

TEST_CASE("mcp::Remote tries a rejected token with a call, also while it cancels another one",
          "[mcp][client][regression]") {
    TwoCallsRig rig;
    deliver(rig.calls.last(), {.status = 401});
    rig.turn();
    rig.clock.advance(std::chrono::minutes{5});
    rig.first.drop();
    driver::Question<Failure> third;
    rig.remote->push("c", {1, {}}, third.ask());
    third.drop();
    rig.turn();
    const std::string& body = rig.calls.last().request.body;
    REQUIRE(body.find("notifications/cancelled") != std::string::npos);
    CHECK(rig.calls.open() == 1);
    CHECK(rig.call(served).cause == Cause::none);
}

TEST_CASE("mcp::Remote keeps a token with which it could not cancel a call",
          "[mcp][client][regression]") {
    TokenFunction supply = [](Completion<std::string> c) { c("token"); };
    Rig rig{{.token = FunctionSource{&supply}}};
    CHECK(rig.call(served).cause == Cause::none);
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.turn();
    question.drop();
    int cancelled = 0;
    const auto permits_calls = [&](const HttpRequest& request) {
        if (request.body.find("notifications/cancelled") == std::string::npos)
            return served(request);
        ++cancelled;
        return HttpResponse{.status = 403};
    };
    static_cast<void>(rig.call(permits_calls));
    CHECK(cancelled == 1);
    CHECK(rig.call(permits_calls).cause == Cause::none);
}

TEST_CASE("mcp::Remote holds little memory for abandoned calls while no token arrives",
          "[mcp][client][unit]") {
    std::vector<Completion<std::string>> kept;
    TokenFunction supply = [](Completion<std::string> c) { c("token"); };
    Rig rig{{.token = FunctionSource{&supply}}};
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.serve();
    REQUIRE(question.answered());
    supply = [&kept](Completion<std::string> c) { kept.push_back(std::move(c)); };
    for (int i = 0; i < 1000; ++i) {
        rig.remote->push("a", {1, {}}, question.ask());
        rig.turn();
        question.drop();
        rig.turn();
    }
    const auto wanted =
        std::count_if(kept.begin(), kept.end(), [](const auto& one) { return one.wanted(); });
    CHECK(wanted < 100);
}

TEST_CASE("mcp::Remote may be destroyed by its token source", "[mcp][client][unit]") {
    TokenFunction supply;
    Rig rig{{.token = FunctionSource{&supply}}};
    supply = [&rig](Completion<std::string> completion) {
        rig.remote.reset();
        completion("token");
    };
    driver::Question<Failure> question;
    rig.remote->push("a", {1, {}}, question.ask());
    rig.turn();
    CHECK_FALSE(rig.remote);
    REQUIRE(question.answered());
    CHECK_FALSE(question.take());
}

TEST_CASE("mcp::Remote may be destroyed by a completion of its calls", "[mcp][client][unit]") {
    Rig rig;
    int received = 0;
    for (int i = 0; i < 3; ++i) {
        rig.remote->push("a", {1, {}}, Completion<Failure>{[&](std::optional<Failure>) noexcept {
                             ++received;
                             rig.remote.reset();
                         }});
    }
    rig.turn();
    deliver(rig.calls.last(), {.status = 503});
    rig.turn();
    CHECK_FALSE(rig.remote);
    CHECK(received == 3);
}

TEST_CASE("mcp::Remote rejects a name that JSON cannot hold, and continues with other calls",
          "[mcp][client][unit]") {
    const bool in_session = GENERATE(false, true);
    Rig rig;
    driver::Question<Result<std::optional<Scene<json>>, Failure>> before;
    if (in_session) {
        rig.remote->fetch("a", before.ask());
        rig.serve();
    }
    driver::Question<Result<std::optional<Scene<json>>, Failure>> bad;
    rig.remote->fetch("\xFF", bad.ask());
    driver::Question<Result<std::optional<Scene<json>>, Failure>> good;
    rig.remote->fetch("a", good.ask());
    rig.serve();
    REQUIRE(bad.answered());
    CHECK(bad.take()->error().error() == mcp::Errc::bad_scene);
    REQUIRE(good.answered());
    CHECK(good.take()->has_value());
}

TEST_CASE("A scene that the user's to_json rejects is a failure of its session only",
          "[mcp][client][unit]") {
    RequestLog calls;
    mcp::Remote<HandHttp, Unwritable> remote{HandHttp{&calls}, "http://x/mcp"};
    driver::Question<Failure> question;
    remote.push("a", {}, question.ask());
    REQUIRE(question.answered());
    CHECK(question.take()->cause == Cause::permanent);
}

TEST_CASE("mcp::Remote transfers user-defined contents in their own format",
          "[mcp][client][unit]") {
    RequestLog calls;
    ManualLoop<> loop;
    HandHttp http{&calls};
    mcp::Remote<std::reference_wrapper<HandHttp>, std::string> remote{
        std::ref(http), "http://x/mcp", {.push_tool = "save", .session_argument = "room"}};
    loop.attach(remote);
    driver::Question<Failure> question;
    remote.push("a", {"text", Stamp{.wall = WallTime{Duration{5}}}}, question.ask());
    for (std::size_t i = 0; i <= calls.all.size() && i < 2; ++i) {
        while (loop.poll() == always) {
        }
        deliver(*calls.all[i], served(calls.all[i]->request));
    }
    while (loop.poll() == always) {
    }
    REQUIRE(calls.all.size() == 3);
    const json call = json::parse(calls.last().request.body).at("params");
    CHECK(call.at("name") == "save");
    CHECK(call.at("arguments").at("room") == "a");
    CHECK(call.at("arguments").at("scene").at("content") == "text");
    CHECK(call.at("arguments").at("scene").at("stamp").at("wall") == "5");
}
