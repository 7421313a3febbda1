// SPDX-License-Identifier: MIT
// Goal: the messages of an MCP server are read correctly, or rejected with a reason, for any
// division into pieces. Method: the core of mcp::Remote as a value, without sockets; texts of the
// protocol, each of them also cut and damaged everywhere.
#include <belay/core/random.hpp>
#include <belay/mcp/detail/core.hpp>

#include <ctime>
#include <map>

#if defined(__GLIBC__)
#    include <malloc.h>
#endif

#include "support/catch.hpp"

using namespace belay;
using detail::McpAnswer;
using detail::McpCore;
using detail::McpDone;
using detail::McpJson;
using detail::McpMessage;
using detail::McpSend;

namespace {

using Kind = McpMessage::Kind;
using Aim = McpSend::Aim;

constexpr std::size_t usual_depth = detail::mcp_depth_max;

/// Returns the error of reading a text; none if it can be read.
std::error_code rejection_of(const std::string& text, std::size_t depth = usual_depth) {
    return detail::read_messages(text, depth).error();
}
std::string nested(std::size_t depth) {
    return R"({"jsonrpc":"2.0","id":1,"result":{"a":)" + std::string(depth, '[') +
           std::string(depth, ']') + "}}";
}

/// The bytes that the program has allocated and not freed, if the allocator reports them.
std::size_t in_use() {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

HttpResponse json_head(int status = 200) {
    return {.status = status, .headers = {{"Content-Type", "application/json; charset=utf-8"}}};
}
HttpResponse event_head() {
    return {.status = 200, .headers = {{"content-type", "Text/Event-Stream"}}};
}
std::string result_text(std::uint64_t id, const std::string& result) {
    return R"({"result":)" + result + R"(,"jsonrpc":"2.0","id":)" + std::to_string(id) + "}";
}
std::string event(const std::string& data) { return "event: message\ndata: " + data + "\n\n"; }

/// A core, and a server that the test plays.
struct ScriptedServer {
    explicit ScriptedServer(detail::McpCoreOptions options = {}) : core{std::move(options)} {}

    std::uint64_t call(const char* tool = "fetch_scene") {
        return core.call(tool, {{"session_id", "a"}});
    }
    /// The only request that must be sent now.
    McpSend next(Aim aim) {
        std::vector<McpSend> sends = core.sends();
        REQUIRE(sends.size() == 1);
        REQUIRE(sends.front().aim == aim);
        return sends.front();
    }
    void answer(const McpSend& send, const HttpResponse& head, const std::string& body) {
        core.receive(send.number, head, "");
        core.receive(send.number, head, body);
        core.finish(send.number, head);
    }
    void begin_session(const std::string& id = "s-1") {
        const McpSend send = next(Aim::initialize);
        HttpResponse head = json_head();
        if (!id.empty()) head.headers.add({"mcp-session-id", id});
        answer(send, head, result_text(send.number, R"({"protocolVersion":"2025-06-18"})"));
        answer(next(Aim::initialized), {.status = 202}, "");
    }
    /// The result of the only call that has ended.
    McpDone over() {
        auto done = core.next_done();
        REQUIRE(done);
        REQUIRE_FALSE(core.next_done());
        return *done;
    }
    mcp::Error failed() {
        const McpDone done = over();
        REQUIRE(done.error);
        return *done.error;
    }

    McpCore core;
};

}  // namespace

TEST_CASE("McpJson accepts a message of JSON-RPC, or returns why not", "[mcp][core][unit]") {
    struct Row {
        const char* text;
        std::error_code error;
    };
    const Row rows[] = {
        {R"({"jsonrpc":"2.0","id":1,"result":{}})", {}},
        {R"({"jsonrpc":"2.0","id":"a","result":{}})", {}},
        {R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}})", {}},
        {R"({"jsonrpc":"2.0","method":"notifications/message"})", {}},
        {R"([{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{}}])", {}},
        {"", mcp::Errc::not_json},
        {"<html>busy</html>", mcp::Errc::not_json},
        {R"({"jsonrpc":"2.0","id":1,"result":{}} x)", mcp::Errc::not_json},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\"}}", mcp::Errc::not_json},
        {R"({"jsonrpc":"2.0","id":1e999,"result":{}})", mcp::Errc::not_json},
        {"1", mcp::Errc::bad_message},
        {"[]", mcp::Errc::bad_message},
        {"[1]", mcp::Errc::bad_message},
        {R"({"id":1,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"1.0","id":1,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":2.0,"id":1,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1.5,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":true,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":[1],"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":{},"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":null,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":null,"method":"ping"})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"result":7})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}})",
         mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"error":{"message":""}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"error":{"code":1}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"method":7})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"id":2,"result":{}})", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"\u0069d":2,"result":{}})", mcp::Errc::bad_message},
        {R"([{"jsonrpc":"2.0","id":1,"id":2,"result":{}}])", mcp::Errc::bad_message},
        {R"({"jsonrpc":"2.0","id":1,"result":{"id":1,"x":{"id":1}}})", {}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        CHECK(rejection_of(row.text) == row.error);
    }
    std::string batch = "[";
    for (int i = 0; i < 64; ++i) batch += R"({"jsonrpc":"2.0","method":"m"},)";
    batch.back() = ']';
    CHECK_FALSE(rejection_of(batch));
    batch.back() = ',';
    CHECK(rejection_of(batch + R"({"jsonrpc":"2.0","method":"m"}])") == mcp::Errc::bad_message);
}

TEST_CASE("JSON that is nested too deeply is rejected before memory is allocated for it",
          "[mcp][core][unit]") {
    CHECK_FALSE(rejection_of(nested(usual_depth - 2)));
    CHECK(rejection_of(nested(usual_depth - 1)) == mcp::Errc::too_deep);
    CHECK(rejection_of(std::string(1 << 20, '[')) == mcp::Errc::too_deep);
    CHECK(rejection_of(std::string(1 << 20, '{')) == mcp::Errc::too_deep);
    // Brackets inside of a text do not count, in any notation.
    const std::string brackets(1000, '[');
    CHECK_FALSE(
        rejection_of(R"({"jsonrpc":"2.0","id":1,"result":{"a":"\"\\)" + brackets + R"("}})"));
    CHECK(rejection_of(R"({"jsonrpc":"2.0","id":1,"result":{"a":"\\")" + brackets) ==
          mcp::Errc::too_deep);
}

TEST_CASE("JSON with a NUL byte at any position is rejected", "[mcp][core][unit]") {
    const std::string nul(1, '\0');
    const std::string message = R"({"jsonrpc":"2.0","id":1,"result":{"a":"b"}})";
    REQUIRE_FALSE(rejection_of(message));
    for (std::size_t at = 0; at <= message.size(); ++at) {
        CHECK(rejection_of(message.substr(0, at) + nul + message.substr(at)) ==
              mcp::Errc::not_json);
    }
    CHECK(rejection_of(message + nul + std::string(1 << 20, '[')) == mcp::Errc::not_json);
    CHECK(rejection_of(R"({"jsonrpc":"2.0","id":1,"result":{"a":"\)" + nul + "\"}}") ==
          mcp::Errc::not_json);
}

TEST_CASE("JSON that would use too much memory is rejected before it is parsed",
          "[mcp][core][fault]") {
    const auto of_many = [](const std::string& one, std::size_t bytes) {
        std::string text = R"({"jsonrpc":"2.0","id":1,"result":{"a":[)";
        while (text.size() < bytes) text += one + ",";
        return text + "0]}}";
    };
    constexpr std::size_t whole = std::size_t{16} << 20;
    for (const char* const one : {"[]", "{}", R"({"a":{}})", R"("")"}) {
        CAPTURE(one);
        CHECK(rejection_of(of_many(one, whole)) == HttpErrc::too_long);
    }
    // Texts and usual numbers may be as long as the limit of an answer. Commas inside of a text do
    // not count.
    CHECK_FALSE(rejection_of(of_many("\"" + std::string(1000, ',') + "\"", whole)));
    CHECK_FALSE(rejection_of(of_many("1234.5678", whole / 2)));
}

TEST_CASE("The memory of a message is computed before it is parsed", "[mcp][core][property]") {
    for (const std::string one :
         {"[]", "{}", "1", R"("")", R"("text above fifteen letters")", R"({"a":1,"b":2,"c":[]})",
          R"({"a name above fifteen letters":{"b":{}}})", "[[[[]]]]", "[1,2,3,4,5]", "-1.5e3"}) {
        CAPTURE(one);
        std::string text = "[";
        while (text.size() < 100'000) text += one + ",";
        text += "0]";
        const std::size_t before = in_use();
        const McpJson parsed = McpJson::parse(text);
        CHECK(parsed.size() > 1);
        CHECK(in_use() - before <= detail::json_cost(text, usual_depth).bytes);
    }
}

TEST_CASE("A message that is cut anywhere is rejected", "[mcp][core][unit]") {
    const std::string whole =
        result_text(7, R"({"content":[{"type":"text","text":"{\"ts\":1}"}]})");
    REQUIRE_FALSE(rejection_of(whole));
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK(rejection_of(whole.substr(0, length)) == mcp::Errc::not_json);
    }
}

TEST_CASE("McpAnswer finds the answer in JSON and in an event stream, however it is cut",
          "[mcp][core][unit]") {
    const std::string notes = event(R"({"jsonrpc":"2.0","method":"notifications/message"})") +
                              ": a comment\n\n" + event(result_text(6, R"({"other":true})"));
    struct Row {
        HttpResponse head;
        std::string body;
    };
    const Row rows[] = {{json_head(), result_text(7, R"({"ours":true})")},
                        {event_head(), notes + event(result_text(7, R"({"ours":true})")) +
                                           event(result_text(7, R"({"second":true})"))}};
    for (const Row& row : rows) {
        for (std::size_t cut = 0; cut <= row.body.size(); ++cut) {
            McpAnswer answer{7, {.bytes_max = 1'000'000}};
            answer.take(row.head, row.body.substr(0, cut));
            answer.take(row.head, row.body.substr(cut));
            answer.end();
            auto message = std::move(answer).answer();
            REQUIRE(message);
            CHECK(message->body == McpJson{{"ours", true}});
        }
        McpAnswer by_bytes{7, {.bytes_max = 1'000'000}};
        for (const char c : row.body) by_bytes.take(row.head, {&c, 1});
        by_bytes.end();
        CHECK(std::move(by_bytes).answer());
    }
}

TEST_CASE("McpAnswer without an answer returns the reason", "[mcp][core][unit]") {
    const auto error_of_body = [](const HttpResponse& head, const std::string& body) {
        McpAnswer answer{7, {.bytes_max = 1000}};
        answer.take(head, body);
        answer.end();
        return std::move(answer).answer().error();
    };
    const std::string ours = result_text(7, "{}");
    CHECK(error_of_body(json_head(), "") == mcp::Errc::no_answer);
    CHECK(error_of_body({.status = 202}, "") == mcp::Errc::no_answer);
    CHECK(error_of_body({.status = 200}, ours) == mcp::Errc::bad_type);
    CHECK(error_of_body({.status = 200, .headers = {{"Content-Type", "text/html"}}}, ours) ==
          mcp::Errc::bad_type);
    CHECK(error_of_body(json_head(), result_text(8, "{}")) == mcp::Errc::no_answer);
    CHECK(error_of_body(json_head(), R"({"jsonrpc":"2.0","id":"7","result":{}})") ==
          mcp::Errc::no_answer);
    CHECK(error_of_body(json_head(), "[" + ours + "," + ours + "]") == mcp::Errc::two_answers);
    CHECK(error_of_body(json_head(), ours + std::string(1000, ' ')) == HttpErrc::too_long);
    CHECK(error_of_body(event_head(), event(result_text(8, "{}"))) == mcp::Errc::no_answer);
    CHECK(error_of_body(event_head(), event("nonsense")) == mcp::Errc::not_json);
    CHECK(error_of_body(event_head(), "data: " + std::string(2000, 'x')) == HttpErrc::too_long);
    // Without its empty line the event is not complete.
    CHECK(error_of_body(event_head(), "data: " + ours + "\n") == mcp::Errc::no_answer);
    CHECK_FALSE(error_of_body(event_head(), "data: " + ours + "\n\n"));
    CHECK_FALSE(error_of_body(event_head(), "event: other\ndata: nonsense\n\n" + event(ours)));
}

TEST_CASE("McpCore starts a session with the first call, and sends its id from then on",
          "[mcp][core][unit]") {
    ScriptedServer scripted;
    CHECK(scripted.core.sends().empty());
    const std::uint64_t call = scripted.call();
    const McpSend first = scripted.next(Aim::initialize);
    CHECK(first.session.empty());
    const McpJson sent = McpJson::parse(first.body);
    CHECK(sent["method"] == "initialize");
    CHECK(sent["params"]["protocolVersion"] == "2025-06-18");
    CHECK(sent["params"]["clientInfo"]["name"] == "belay");
    HttpResponse head = event_head();
    head.headers.add({"mcp-session-id", "s-1"});
    // The stream stays open: the answer is enough.
    scripted.core.receive(first.number, head,
                          event(result_text(first.number, R"({"protocolVersion":"2025-03-26"})")));
    CHECK_FALSE(scripted.core.awaits(first.number));
    const McpSend second = scripted.next(Aim::initialized);
    CHECK(second.session == "s-1");
    CHECK(second.version == "2025-03-26");
    CHECK_FALSE(McpJson::parse(second.body).contains("id"));
    scripted.answer(second, {.status = 202}, "");
    const McpSend third = scripted.next(Aim::call);
    CHECK(third.session == "s-1");
    const McpJson request = McpJson::parse(third.body);
    CHECK(request["params"] ==
          McpJson::parse(R"({"name":"fetch_scene","arguments":{"session_id":"a"}})"));
    CHECK(request["id"] == third.number);
    scripted.answer(third, json_head(), result_text(third.number, R"({"content":[]})"));
    const McpDone done = scripted.over();
    CHECK(done.call == call);
    CHECK(done.result == McpJson{{"content", McpJson::array()}});
    scripted.call();
    scripted.next(Aim::call);
}

TEST_CASE("McpCore does not wait for the end of a response to a notification",
          "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    const McpSend send = scripted.next(Aim::initialize);
    scripted.answer(send, json_head(),
                    result_text(send.number, R"({"protocolVersion":"2025-06-18"})"));
    const McpSend confirmation = scripted.next(Aim::initialized);
    scripted.core.receive(confirmation.number, event_head(), "");
    CHECK_FALSE(scripted.core.awaits(confirmation.number));
    scripted.next(Aim::call);
}

TEST_CASE("McpCore fails all calls that wait for a session which does not start",
          "[mcp][core][unit]") {
    struct Row {
        HttpResponse head;
        const char* body;
        std::error_code error;
    };
    HttpResponse bad_id = json_head();
    bad_id.headers.add({"Mcp-Session-Id", "with space"});
    const Row rows[] = {
        {json_head(503), "", {503, http_category()}},
        {json_head(), R"({"jsonrpc":"2.0","id":%,"result":{"protocolVersion":"1999-01-01"}})",
         mcp::Errc::version_rejected},
        {json_head(), R"({"jsonrpc":"2.0","id":%,"result":{}})", mcp::Errc::version_rejected},
        {json_head(), R"({"jsonrpc":"2.0","id":%,"error":{"code":-32602,"message":"no"}})",
         mcp::Errc::rpc_error},
        {bad_id, R"({"jsonrpc":"2.0","id":%,"result":{"protocolVersion":"2025-06-18"}})",
         mcp::Errc::bad_session},
    };
    for (const Row& row : rows) {
        CAPTURE(row.body);
        ScriptedServer scripted;
        scripted.call();
        scripted.call();
        const McpSend send = scripted.next(Aim::initialize);
        std::string body = row.body;
        if (const auto at = body.find('%'); at != body.npos) {
            body.replace(at, 1, std::to_string(send.number));
        }
        scripted.answer(send, row.head, body);
        for (int i = 0; i < 2; ++i) {
            const auto done = scripted.core.next_done();
            REQUIRE(done);
            REQUIRE(done->error);
            CHECK(done->error->failure.error() == row.error);
        }
        CHECK(scripted.core.sends().empty());
        // The next call starts a new session.
        scripted.call();
        scripted.next(Aim::initialize);
    }
}

TEST_CASE("McpCore repeats a lost confirmation of a session", "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    const McpSend send = scripted.next(Aim::initialize);
    HttpResponse head = json_head();
    head.headers.add({"mcp-session-id", "s-1"});
    scripted.answer(send, head, result_text(send.number, R"({"protocolVersion":"2025-06-18"})"));
    scripted.core.finish(scripted.next(Aim::initialized).number,
                         {.failure = Failure::from(HttpErrc::lost)});
    CHECK(scripted.failed().failure.cause == Cause::lost);
    scripted.call();
    const McpSend again = scripted.next(Aim::initialized);
    CHECK(again.session == "s-1");
    scripted.answer(again, {.status = 202}, "");
    scripted.next(Aim::call);
}

TEST_CASE("McpCore classifies a call by the status first, then by the body", "[mcp][core][unit]") {
    struct Row {
        int status;
        const char* wait;
        const char* body;
        Cause cause;
        std::error_code error;
        const char* text;
    };
    const std::error_code refused = mcp::Errc::rpc_error, failed = mcp::Errc::tool_failed;
    const auto http = [](int status) { return std::error_code{status, http_category()}; };
    const Row rows[] = {
        {503, "2", R"({"jsonrpc":"2.0","error":{"code":-32000,"message":"busy"},"id":null})",
         Cause::overloaded, http(503), "busy"},
        {503, nullptr, "<html>", Cause::overloaded, http(503), ""},
        {502, nullptr, "", Cause::lost, http(502), ""},
        {504, nullptr, "", Cause::timed_out, http(504), ""},
        {500, nullptr, "", Cause::lost, http(500), ""},
        {429, "2", "", Cause::overloaded, http(429), ""},
        {408, nullptr, "", Cause::timed_out, http(408), ""},
        {401, nullptr, "", Cause::unauthorized, http(401), ""},
        {403, nullptr, "", Cause::unauthorized, http(403), ""},
        {406, nullptr, "", Cause::permanent, http(406), ""},
        {415, nullptr, "", Cause::permanent, http(415), ""},
        {307, nullptr, "", Cause::permanent, http(307), ""},
        {200, nullptr, R"({"jsonrpc":"2.0","id":%,"error":{"code":-32601,"message":"no\nway"}})",
         Cause::permanent, refused, "no way"},
        {200, nullptr, R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}})",
         Cause::permanent, refused, "?"},
        {200, nullptr,
         R"({"jsonrpc":"2.0","id":%,"result":{"isError":true,"content":[{"type":"image"},)"
         R"({"type":"text","text":"Tool nope not found"}]}})",
         Cause::permanent, failed, "Tool nope not found"},
        {200, nullptr, R"({"jsonrpc":"2.0","id":%,"result":{"isError":1}})", Cause::permanent,
         failed, ""},
        {200, nullptr, "garbage", Cause::protocol, mcp::Errc::not_json, ""},
        {202, nullptr, "", Cause::lost, mcp::Errc::no_answer, ""},
    };
    for (const Row& row : rows) {
        CAPTURE(row.status, row.body);
        ScriptedServer scripted;
        scripted.call();
        scripted.begin_session();
        const McpSend send = scripted.next(Aim::call);
        std::string body = row.body;
        if (const auto at = body.find('%'); at != body.npos) {
            body.replace(at, 1, std::to_string(send.number));
        }
        HttpResponse head = json_head(row.status);
        if (row.wait != nullptr) head.headers.add({"Retry-After", row.wait});
        scripted.answer(send, head, body);
        const mcp::Error error = scripted.failed();
        CHECK(error.failure.cause == row.cause);
        CHECK(error.failure.error() == row.error);
        CHECK(error.failure.retry_after ==
              (row.wait != nullptr ? Duration{std::chrono::seconds{2}} : Duration{}));
        CHECK(error.text == row.text);
        CHECK(scripted.core.sends().empty());
    }
}

TEST_CASE("McpCore uses the status of an incomplete response, except 200", "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    HttpResponse half = json_head(503);
    half.headers.add({"Retry-After", "3"});
    half.failure = Failure::from(HttpErrc::lost);
    scripted.core.finish(scripted.next(Aim::call).number, half);
    CHECK(scripted.failed().failure.retry_after == std::chrono::seconds{3});

    scripted.call();
    const McpSend send = scripted.next(Aim::call);
    half = json_head();
    half.failure = Failure::from(HttpErrc::lost);
    scripted.core.receive(send.number, half, result_text(send.number, "{}"));
    scripted.core.finish(send.number, half);
    CHECK(scripted.failed().failure.error() == HttpErrc::lost);
}

TEST_CASE("McpCore reads a Retry-After with a date of a server that sends no Date",
          "[mcp][core][regression]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    HttpResponse busy = json_head(503);
    busy.headers.add({"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"});
    constexpr std::chrono::seconds then{784'111'777};
    busy.received = WallTime{then - std::chrono::seconds{20}};
    scripted.core.finish(scripted.next(Aim::call).number, busy);
    CHECK(scripted.failed().failure.retry_after == std::chrono::seconds{20});
}

TEST_CASE("McpCore treats a request that cannot be sent as an unreachable server",
          "[mcp][core][unit]") {
    // The URL may be wrong, or the token may have a line break: no session is the cause of that.
    for (const HttpErrc why : {HttpErrc::bad_url, HttpErrc::bad_text}) {
        ScriptedServer scripted;
        scripted.call();
        scripted.core.finish(scripted.next(Aim::initialize).number,
                             {.failure = Failure::from(why), .sent = false});
        const Failure failure = scripted.failed().failure;
        CHECK(failure.cause == Cause::refused);
        CHECK(failure.error() == why);
    }
}

TEST_CASE("McpCore starts a new session after a lost one, once for each call",
          "[mcp][core][unit]") {
    // A server with one session for all clients returns 400 after its restart. It might have meant
    // the request, so it gets a request to end the session.
    const int status = GENERATE(404, 400);
    CAPTURE(status);
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    scripted.answer(scripted.next(Aim::call), json_head(status), "");
    if (status == 400) {
        std::vector<McpSend> sends = scripted.core.sends();
        REQUIRE(sends.size() == 2);
        CHECK(sends[0].aim == Aim::end_session);
        CHECK(sends[0].session == "s-1");
        CHECK(sends[1].aim == Aim::initialize);
        CHECK(sends[1].session.empty());
        HttpResponse head = json_head();
        head.headers.add({"mcp-session-id", "s-2"});
        scripted.answer(sends[1], head,
                        result_text(sends[1].number, R"({"protocolVersion":"2025-06-18"})"));
        scripted.answer(scripted.next(Aim::initialized), {.status = 202}, "");
    } else {
        scripted.begin_session("s-2");
    }
    const McpSend again = scripted.next(Aim::call);
    CHECK(again.session == "s-2");
    CHECK_FALSE(scripted.core.has_done());
    scripted.answer(again, json_head(status), "");
    CHECK(scripted.failed().failure.error() == std::error_code{status, http_category()});
    // The next call has its own new session.
    static_cast<void>(scripted.core.sends());
    scripted.call();
    CHECK(scripted.core.sends().back().aim == Aim::initialize);
}

TEST_CASE("McpCore keeps the session when the server only rejects a message",
          "[mcp][core][regression]") {
    const int code = GENERATE(-32700, -32600, -32601, -32602, -32603);
    CAPTURE(code);
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    scripted.answer(scripted.next(Aim::call), json_head(400),
                    R"({"jsonrpc":"2.0","id":null,"error":{"code":)" + std::to_string(code) +
                        R"(,"message":"bad"}})");
    const mcp::Error error = scripted.failed();
    CHECK(error.failure.error() == std::error_code{400, http_category()});
    CHECK(error.text == "bad");
    scripted.call();
    CHECK(scripted.next(Aim::call).session == "s-1");
}

TEST_CASE("McpCore starts one new session for all calls that lost it", "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.call();
    scripted.begin_session();
    const std::vector<McpSend> calls = scripted.core.sends();
    REQUIRE(calls.size() == 2);
    scripted.answer(calls[0], json_head(404), "");
    scripted.begin_session("s-2");
    CHECK(scripted.next(Aim::call).session == "s-2");
    // A late result about the former session: the new one stays.
    scripted.answer(calls[1], json_head(404), "");
    CHECK(scripted.next(Aim::call).session == "s-2");
}

TEST_CASE("McpCore treats 404 as an error where there is no session", "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session("");
    const McpSend send = scripted.next(Aim::call);
    CHECK(send.session.empty());
    scripted.answer(send, json_head(404), "");
    CHECK(scripted.failed().failure.cause == Cause::permanent);
}

TEST_CASE("McpCore answers a ping, and rejects other requests of the server, within a limit",
          "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    const McpSend send = scripted.next(Aim::call);
    scripted.core.receive(send.number, event_head(),
                          event(R"({"jsonrpc":"2.0","id":"p","method":"ping"})") +
                              event(R"({"jsonrpc":"2.0","id":0,"method":"roots/list"})"));
    std::vector<McpSend> replies = scripted.core.sends();
    REQUIRE(replies.size() == 2);
    CHECK(replies[0].aim == Aim::reply);
    CHECK(replies[0].session == "s-1");
    CHECK(McpJson::parse(replies[0].body) ==
          McpJson::parse(R"({"jsonrpc":"2.0","id":"p","result":{}})"));
    CHECK(McpJson::parse(replies[1].body) ==
          McpJson::parse(
              R"({"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"Method not found"}})"));
    CHECK_FALSE(scripted.core.has_done());

    // Replies that the server does not accept wait, up to a limit.
    for (int i = 0; i < 14; ++i) {
        scripted.core.receive(send.number, event_head(),
                              event(R"({"jsonrpc":"2.0","id":1,"method":"ping"})"));
    }
    CHECK_FALSE(scripted.core.has_done());
    CHECK(scripted.core.sends().size() == 14);
    scripted.core.receive(send.number, event_head(),
                          event(R"({"jsonrpc":"2.0","id":1,"method":"ping"})"));
    CHECK(scripted.failed().failure.error() == mcp::Errc::asks_too_much);
    CHECK(scripted.core.drops() == std::vector<std::uint64_t>{send.number});
    for (const McpSend& reply : replies) scripted.answer(reply, {.status = 202}, "");
    CHECK(scripted.core.sends().empty());
}

TEST_CASE("McpCore answers a ping in the same body as an answer", "[mcp][core][regression]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    const McpSend send = scripted.next(Aim::call);
    const std::string ping = R"({"jsonrpc":"2.0","id":"p","method":"ping"})";
    scripted.answer(send, json_head(), "[" + ping + "," + result_text(send.number, "{}") + "]");
    CHECK_FALSE(scripted.over().error);
    CHECK(McpJson::parse(scripted.next(Aim::reply).body) ==
          McpJson::parse(R"({"jsonrpc":"2.0","id":"p","result":{}})"));

    std::string many;
    for (int i = 0; i < 16; ++i) many += ping + ",";
    scripted.call();
    const McpSend flooded = scripted.next(Aim::call);
    scripted.answer(flooded, json_head(), "[" + many + result_text(flooded.number, "{}") + "]");
    CHECK(scripted.failed().failure.error() == mcp::Errc::asks_too_much);
}

TEST_CASE("McpCore cancels calls that timed out or were abandoned", "[mcp][core][unit]") {
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    const McpSend send = scripted.next(Aim::call);
    scripted.core.finish(send.number, {.failure = Failure::from(HttpErrc::timed_out)});
    CHECK(scripted.failed().failure.cause == Cause::timed_out);
    const McpJson cancelled = McpJson::parse(scripted.next(Aim::cancelled).body);
    CHECK(cancelled["method"] == "notifications/cancelled");
    CHECK(cancelled["params"]["requestId"] == send.number);

    const std::uint64_t call = scripted.call();
    const McpSend second = scripted.next(Aim::call);
    scripted.core.give_up(call);
    CHECK(scripted.core.drops() == std::vector<std::uint64_t>{second.number});
    CHECK(McpJson::parse(scripted.next(Aim::cancelled).body)["params"]["requestId"] ==
          second.number);
    CHECK_FALSE(scripted.core.awaits(second.number));
    // The answer is too late.
    scripted.answer(second, json_head(), result_text(second.number, "{}"));
    CHECK_FALSE(scripted.core.has_output());

    // A call that was not sent is dropped, and needs no notice.
    scripted.core.give_up(scripted.call());
    CHECK_FALSE(scripted.core.has_output());
    ScriptedServer fresh;
    fresh.core.give_up(fresh.call());
    fresh.begin_session();
    CHECK_FALSE(fresh.core.has_output());
}

TEST_CASE("McpCore::close ends the session once, and sends nothing after that",
          "[mcp][core][unit]") {
    ScriptedServer idle;
    idle.core.close();
    CHECK_FALSE(idle.core.has_output());
    CHECK_FALSE(idle.core.is_closing());

    const int status = GENERATE(200, 404, 405, 503);
    CAPTURE(status);
    ScriptedServer scripted;
    scripted.call();
    scripted.begin_session();
    const McpSend call = scripted.next(Aim::call);
    scripted.core.close();
    CHECK(scripted.core.drops() == std::vector<std::uint64_t>{call.number});
    const McpSend end_session = scripted.next(Aim::end_session);
    CHECK(end_session.session == "s-1");
    CHECK(scripted.core.is_closing());
    scripted.core.finish(call.number, json_head());
    scripted.answer(end_session, {.status = status}, "");
    CHECK_FALSE(scripted.core.is_closing());
    // A server that ends sessions only itself has returned that status.
    CHECK((scripted.core.end_failure().cause == Cause::none) == (status != 503));
    CHECK_FALSE(scripted.core.has_output());
}

TEST_CASE("McpCore calls is_retryable for rejections, with the token removed",
          "[mcp][core][unit]") {
    std::vector<mcp::Error> observed;
    ScriptedServer scripted{{.is_retryable = [&observed](const mcp::Error& error) noexcept {
        observed.push_back(error);
        return error.rpc_code == -32603;
    }}};
    scripted.call();
    scripted.begin_session();
    McpSend send = scripted.next(Aim::call);
    scripted.core.hide(send.number, "secret");
    scripted.answer(send, json_head(),
                    R"({"jsonrpc":"2.0","id":)" + std::to_string(send.number) +
                        R"(,"error":{"code":-32603,"message":"secret secretsecret )" +
                        std::string(400, 'x') + R"("}})");
    mcp::Error error = scripted.failed();
    CHECK(error.failure.cause == Cause::overloaded);
    CHECK(error.failure.error() == mcp::Errc::rpc_error);
    CHECK(error.text.substr(0, 12) == "*** ****** x");
    CHECK(error.text.size() == 256);
    CHECK(error.message().find("secret") == std::string::npos);

    scripted.call();
    send = scripted.next(Aim::call);
    scripted.answer(send, json_head(),
                    result_text(send.number, R"({"isError":true,"content":[]})"));
    CHECK(scripted.failed().failure.cause == Cause::permanent);

    scripted.call();
    send = scripted.next(Aim::call);
    scripted.core.hide(send.number, "secret");
    scripted.answer(send, json_head(503),
                    R"({"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"not secret"}})");
    CHECK(scripted.failed().text == "not ***");
    REQUIRE(observed.size() == 2);
    CHECK(observed[0].text.find("secret") == std::string::npos);
}

TEST_CASE("A server's text is reported as one short line without the token, at little cost",
          "[mcp][core][unit]") {
    CHECK(detail::McpLogText{"key"}("a key,\nmonkeys") == "a ***, mon***s");
    CHECK(detail::McpLogText{""}("\x7F!") == " !");
    CHECK(detail::McpLogText{"key"}(std::string(255, 'a') + "key") == std::string(255, 'a') + "*");
    CHECK(detail::McpLogText{"key"}(std::string(254, 'a') + "ke") == std::string(254, 'a') + "ke");
    // The mask must be replaced if the token contains it.
    CHECK(detail::McpLogText{"*"}("*!*") == "***!***");
    // A server knows the token, and may repeat it up to the limit of an answer.
    std::string many;
    for (int i = 0; i < 500'000; ++i) many += "key,";
    // Processor time, which other programs do not change. A quadratic search takes far more.
    const std::clock_t began = std::clock();
    const std::string output = detail::McpLogText{"key,"}(many);
    CHECK(std::clock() - began < 10 * CLOCKS_PER_SEC);
    CHECK(output == std::string(256, '*'));
}

TEST_CASE("A tool's result is its structured content, otherwise its text as JSON",
          "[mcp][core][unit]") {
    const auto read = [](const char* text) { return detail::json_of_result(McpJson::parse(text)); };
    CHECK(*read(R"({"structuredContent":{"a":1},"content":[{"type":"text","text":"{}"}]})") ==
          McpJson{{"a", 1}});
    CHECK(*read(R"({"content":[{"type":"text","text":"{\"a\":1}"}]})") == McpJson{{"a", 1}});
    CHECK(read(R"({"content":[{"type":"text","text":"null"}]})")->is_null());
    CHECK(read(R"({"content":[{"type":"text","text":"ok"}]})").error() == mcp::Errc::no_scene);
    CHECK(read("{}").error() == mcp::Errc::no_scene);
    CHECK(read(R"({"content":7})").error() == mcp::Errc::no_scene);
    CHECK(read(R"({"content":[7,{"type":"text","text":7}]})").error() == mcp::Errc::no_scene);
    const std::string deep = R"({"content":[{"type":"text","text":")" + std::string(65, '[') +
                             std::string(65, ']') + R"("}]})";
    CHECK(read(deep.c_str()).error() == mcp::Errc::too_deep);
}

TEST_CASE("McpCore accepts or rejects any response of a server", "[mcp][core][property]") {
    // Texts of the protocol, cut, joined and damaged; in limited time, from fixed seeds.
    const std::string good[] = {
        result_text(3, R"({"protocolVersion":"2025-06-18"})"),
        result_text(5, R"({"content":[{"type":"text","text":"{\"ts\":1}"}]})"),
        R"({"jsonrpc":"2.0","id":5,"error":{"code":-32603,"message":"x"}})",
        R"({"jsonrpc":"2.0","id":"p","method":"ping"})",
        "event: message\r\n",
        "data: ",
        "\r\n\r\n",
        "\n\n",
        ": comment\n",
        "id: 1\nretry: 5\n"};
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
        Random bits{Seed{seed}};
        const auto upto = [&](std::size_t most) {
            return static_cast<std::size_t>(uniform_upto(bits, most));
        };
        ScriptedServer scripted;
        scripted.call();
        scripted.call();
        std::vector<std::uint64_t> open;
        for (int step = 0; step < 30; ++step) {
            for (const McpSend& send : scripted.core.sends()) open.push_back(send.number);
            for (const std::uint64_t number : scripted.core.drops()) std::erase(open, number);
            while (const auto done = scripted.core.next_done()) {
                if (upto(1) == 0) scripted.call();
            }
            if (open.empty()) break;
            const std::uint64_t number = open[upto(open.size() - 1)];
            HttpResponse head = upto(1) == 0 ? json_head() : event_head();
            if (upto(9) == 0) head.status = static_cast<int>(upto(600));
            if (upto(3) == 0) head.headers.add({"mcp-session-id", std::string(upto(3), 's')});
            std::string body;
            for (std::size_t parts = upto(6); parts != 0; --parts) body += good[upto(9)];
            if (upto(2) == 0 && !body.empty()) body.resize(upto(body.size()));
            if (upto(2) == 0 && !body.empty())
                body[upto(body.size() - 1)] = static_cast<char>(upto(255));
            const std::size_t cut = upto(body.size());
            scripted.core.receive(number, head, std::string_view{body}.substr(0, cut));
            scripted.core.receive(number, head, std::string_view{body}.substr(cut));
            if (upto(1) == 0) {
                if (upto(3) == 0) head.failure = Failure::from(HttpErrc::lost);
                scripted.core.finish(number, head);
                std::erase(open, number);
            }
        }
        // After any responses, all calls can be ended, and each is completed.
        for (int round = 0; round < 100; ++round) {
            for (const McpSend& send : scripted.core.sends()) open.push_back(send.number);
            while (scripted.core.next_done()) {
            }
            if (open.empty()) break;
            scripted.core.finish(open.back(), {.failure = Failure::from(HttpErrc::lost)});
            open.pop_back();
        }
        REQUIRE(open.empty());
        REQUIRE_FALSE(scripted.core.has_done());
        const std::uint64_t last = scripted.call();
        REQUIRE(scripted.core.sends().size() == 1);
        scripted.core.give_up(last);
    }
}
