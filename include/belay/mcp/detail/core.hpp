// SPDX-License-Identifier: MIT
/// \file belay/mcp/detail/core.hpp
/// McpCore: all decisions of mcp::Remote, without sockets: received messages, requests to send, and
/// finished calls.
/// JSON-RPC 2.0 messages, as a server of the Model Context Protocol sends and receives them.
#pragma once

#include <algorithm>    // std::find_if, std::count_if, std::min
#include <cstdint>      // std::uint64_t
#include <deque>        // std::deque
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange, std::in_range
#include <vector>       // std::vector

#include <belay/core/result.hpp>
#include <belay/http/http_errc.hpp>
#include <belay/http/http_message.hpp>
#include <belay/json/sync.hpp>
#include <belay/mcp/options.hpp>
#include <belay/sync/event_stream.hpp>
#include <belay/version.hpp>
#include <nlohmann/json.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using McpJson = nlohmann::json;

/// One received message.
struct McpMessage {
    enum class Kind : std::uint8_t { result, error, request, notification };
    Kind kind = Kind::notification;
    /// An integer or a text, in all but a notification. Null if the server could not read our id.
    McpJson id;
    /// In requests and notifications.
    std::string method;
    /// The result, or the error.
    McpJson body;
};

/// The most messages in one answer that is an array. Versions of the protocol that allow arrays
/// answer a batch of requests with one, and belay never sends a batch.
inline constexpr std::size_t mcp_batch_max = 64;

/// The most memory for the values of one answer. Compared with the length of the answer, texts take
/// a little more, numbers a few times as much, and empty objects thirty times as much.
inline constexpr std::size_t json_memory_max = std::size_t{128} << 20;

/// The deepest nesting of an answer, because nlohmann/json copies and frees values recursively. A
/// JsonSyncServer has the same limit.
inline constexpr std::size_t mcp_depth_max = 64;

/// Returns why a text must not be parsed; no error if it may be.
[[nodiscard]] inline std::error_code why_not_parsed(
    std::string_view text, std::size_t depth_max = mcp_depth_max) noexcept {
    const JsonCost cost = json_cost(text, depth_max);
    if (cost.has_nul) return mcp::Errc::not_json;
    if (cost.too_deep) return mcp::Errc::too_deep;
    return cost.bytes > json_memory_max ? make_error_code(HttpErrc::too_long) : std::error_code{};
}

/// Detects a member of a message that occurs twice, because parsers disagree on which of them
/// counts.
class RepeatedMembers {
public:
    bool operator()(int depth, McpJson::parse_event_t event, const McpJson& parsed) {
        using Event = McpJson::parse_event_t;
        if (depth == 0 && event == Event::array_start) envelope_ = 1;
        if (depth == envelope_ && event == Event::object_start) seen_.clear();
        if (depth != envelope_ + 1 || event != Event::key) return true;
        const auto& name = parsed.get_ref<const std::string&>();
        for (const std::string& one : seen_) found = found || one == name;
        // No reader uses other members.
        if (name == "id" || name == "result" || name == "error" || name == "method")
            seen_.push_back(name);
        return true;
    }

    bool found = false;

private:
    int envelope_ = 0;
    std::vector<std::string> seen_;
};

[[nodiscard]] inline Result<McpMessage> message_of(McpJson& json) {
    using Kind = McpMessage::Kind;
    if (!json.is_object()) return mcp::Errc::bad_message;
    const auto version = json.find("jsonrpc");
    if (version == json.end() || *version != "2.0") return mcp::Errc::bad_message;
    McpMessage message;
    const auto id = json.find("id");
    if (id != json.end()) message.id = *id;
    if (!message.id.is_null() && !message.id.is_string() && !message.id.is_number_integer()) {
        return mcp::Errc::bad_message;
    }
    const auto method = json.find("method"), result = json.find("result"),
               error = json.find("error");
    const auto is = [&](const auto& at) { return at != json.end(); };
    if (is(method) + is(result) + is(error) != 1) return mcp::Errc::bad_message;
    if (is(method)) {
        if (!method->is_string()) return mcp::Errc::bad_message;
        if (is(id) && message.id.is_null()) return mcp::Errc::bad_message;
        message.kind = is(id) ? Kind::request : Kind::notification;
        message.method = method->get<std::string>();
        return message;
    }
    const auto& body = is(result) ? result : error;
    if (!body->is_object() || !is(id) || (is(result) && message.id.is_null())) {
        return mcp::Errc::bad_message;
    }
    if (is(error)) {
        const auto code = error->find("code"), text = error->find("message");
        if (code == error->end() || !code->is_number_integer()) return mcp::Errc::bad_message;
        if (text == error->end() || !text->is_string()) return mcp::Errc::bad_message;
    }
    message.kind = is(result) ? Kind::result : Kind::error;
    message.body = std::move(*body);
    return message;
}

/// Returns the messages in a text: one, or an array of them.
///
/// Errors: not_json, too_deep, bad_message; HttpErrc::too_long.   Throws: std::bad_alloc.
[[nodiscard]] inline Result<std::vector<McpMessage>> read_messages(
    std::string_view text, std::size_t depth_max = mcp_depth_max) {
    if (const std::error_code error = why_not_parsed(text, depth_max)) return error;
    RepeatedMembers repeated;
    McpJson json = McpJson::parse(
        text,
        [&](int depth, McpJson::parse_event_t event, const McpJson& parsed) {
            return repeated(depth, event, parsed);
        },
        false);
    if (json.is_discarded()) return mcp::Errc::not_json;
    if (repeated.found) return mcp::Errc::bad_message;
    std::vector<McpMessage> messages;
    if (!json.is_array()) json = McpJson::array({std::move(json)});
    if (json.empty() || json.size() > mcp_batch_max) return mcp::Errc::bad_message;
    for (McpJson& one : json) {
        auto message = message_of(one);
        if (!message) return message.error();
        messages.push_back(std::move(*message));
    }
    return messages;
}

// ---- outgoing messages --------------------------------------------------------------------------

[[nodiscard]] inline std::string mcp_request(std::uint64_t id, const char* method, McpJson params) {
    return McpJson{
        {"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}}
        .dump();
}
[[nodiscard]] inline std::string mcp_notification(const char* method, McpJson params = nullptr) {
    McpJson json{{"jsonrpc", "2.0"}, {"method", method}};
    if (!params.is_null()) json["params"] = std::move(params);
    return json.dump();
}
/// Returns the answer to a request of the server: a result for a ping, and an error for all else.
[[nodiscard]] inline std::string mcp_reply(const McpMessage& request) {
    McpJson json{{"jsonrpc", "2.0"}, {"id", request.id}};
    if (request.method == "ping") {
        json["result"] = McpJson::object();
    } else {
        json["error"] = {{"code", -32601}, {"message", "Method not found"}};
    }
    return json.dump();
}

/// A request to be made over HTTP.
struct McpSend {
    enum class Aim : std::uint8_t { initialize, initialized, call, reply, cancelled, end_session };
    /// Identifies the request, and is the id of its message, if that has one.
    std::uint64_t number = 0;
    Aim aim = Aim::call;
    std::string body{};
    /// The session and the protocol version; empty until there is one.
    std::string session{};
    std::string version{};
};

/// A finished call: it has a result, unless there is an error.
struct McpDone {
    std::uint64_t call = 0;
    std::optional<mcp::Error> error{};
    McpJson result{};
};

/// Returns the element that has this number.
template <class Those>
[[nodiscard]] auto find_numbered(Those& those, std::uint64_t number) noexcept {
    return std::find_if(those.begin(), those.end(),
                        [number](const auto& one) { return one.number == number; });
}

/// Makes a text of a server fit for a log: one line, at most 256 bytes, and without the token of
/// the request.
struct McpLogText {
    std::string secret;

    [[nodiscard]] std::string operator()(std::string_view rest) const {
        constexpr std::size_t bytes_max = 256;
        // Searches only the part that is kept: a server may send a long text that repeats the
        // token.
        std::string text;
        while (text.size() < bytes_max && !rest.empty()) {
            const std::string_view start = rest.substr(0, bytes_max + secret.size());
            const std::size_t at = secret.empty() ? start.npos : start.find(secret);
            text += start.substr(0, std::min(at, bytes_max));
            if (at == start.npos) break;
            text += "***";
            rest.remove_prefix(at + secret.size());
        }
        text.resize(std::min(text.size(), bytes_max));
        for (char& c : text) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
        }
        return text;
    }
};

/// Returns the first text of a tool's result; empty if there is none.
[[nodiscard]] inline std::string text_of_result(const McpJson& result) {
    const auto content = result.find("content");
    if (content == result.end() || !content->is_array()) return {};
    for (const McpJson& part : *content) {
        const auto type = part.is_object() ? part.find("type") : part.end();
        if (!part.is_object() || type == part.end() || *type != "text") continue;
        const auto text = part.find("text");
        return text != part.end() && text->is_string() ? text->get<std::string>() : "";
    }
    return {};
}

/// Returns the data of a tool's result: its structured content, otherwise its first text, parsed as
/// JSON.
[[nodiscard]] inline Result<McpJson, std::error_code> json_of_result(const McpJson& result) {
    const auto structured = result.find("structuredContent");
    if (structured != result.end() && structured->is_object()) return *structured;
    const std::string text = text_of_result(result);
    if (const std::error_code error = why_not_parsed(text)) return error;
    McpJson json = McpJson::parse(text, nullptr, false);
    if (json.is_discarded()) return make_error_code(mcp::Errc::no_scene);
    return json;
}
/// Whether a message can contain this: dump() throws for texts that are not UTF-8.
[[nodiscard]] inline bool is_writable(const McpJson& json) {
    try {
        static_cast<void>(json.dump());
        return true;
    } catch (const McpJson::type_error&) {
        return false;
    }
}

/// Converts an error of JSON-RPC.   Pre: message_of() has checked it.
[[nodiscard]] inline mcp::Error error_of(const McpJson& error, const McpLogText& words) {
    const auto code = error.at("code").get<std::int64_t>();
    return {Failure::from(mcp::Errc::rpc_error),
            std::in_range<int>(code) ? static_cast<int>(code) : 0,
            words(error.at("message").get<std::string>())};
}

/// Returns the error of JSON-RPC in the body of a rejection; null if there is none.
[[nodiscard]] inline McpJson error_in_rejection(std::string_view body) {
    constexpr std::size_t depth_max = 16;
    auto messages = read_messages(body, depth_max);
    if (!messages || messages->size() != 1) return nullptr;
    McpMessage& message = messages->front();
    return message.kind == McpMessage::Kind::error ? std::move(message.body) : McpJson{};
}
/// Returns its text for people.
[[nodiscard]] inline std::string text_of_rejection(std::string_view body) {
    const McpJson error = error_in_rejection(body);
    return error.is_null() ? "" : error.at("message").get<std::string>();
}
/// Whether the error code is one of those that JSON-RPC has for a wrong message
/// (https://www.jsonrpc.org/specification, section 5.1).
[[nodiscard]] inline bool is_about_message(std::string_view body) {
    const McpJson error = error_in_rejection(body);
    if (error.is_null()) return false;
    const auto code = error.at("code").get<std::int64_t>();
    return code == -32700 || (code <= -32600 && code >= -32603);
}

/// The most requests of a server that are answered at once.
inline constexpr std::size_t mcp_requests_max = 16;

/// The longest answer, and the function that decides whether an error can be retried.
struct McpCoreOptions {
    std::size_t bytes_max = std::size_t{16} << 20;
    McpErrorPredicate is_retryable{};
};

/// Parses the body of one response, piece by piece, until it contains the answer.
///
/// In an event stream the first answer counts, and ends the reading. requests() returns the
/// requests that the server sent before. In a JSON body a second answer is an error.
///
/// Thread safety: a plain value.   Memory: up to the limit of a body, or of an event.
class McpAnswer {
public:
    McpAnswer(std::uint64_t id, const McpCoreOptions& options)
        : id_{id}, bytes_max_{options.bytes_max}, events_{options.bytes_max} {}

    /// Takes the next piece of a successful response.   Throws: std::bad_alloc.
    void take(const HttpResponse& head, std::string_view piece) {
        if (over() || piece.empty()) return;
        if (form_ == Form::unknown) {
            form_ = has_media_type(head, "application/json")    ? Form::json
                    : has_media_type(head, "text/event-stream") ? Form::events
                                                                : Form::other;
        }
        if (form_ == Form::other) return fail(mcp::Errc::bad_type);
        if (form_ == Form::events) return take_events(piece);
        if (piece.size() > bytes_max_ - body_.size()) return fail(HttpErrc::too_long);
        body_ += piece;
    }
    /// Ends the response.   Throws: std::bad_alloc.
    void end() {
        if (over()) return;
        if (form_ == Form::json) read(body_, true);
        if (!over()) fail(mcp::Errc::no_answer);
    }

    /// Whether there is an answer, or will never be one.
    [[nodiscard]] bool over() const noexcept { return answer_ || error_; }
    /// Returns the message that answers.   Pre: over().
    [[nodiscard]] Result<McpMessage> answer() && {
        if (error_) return error_;
        return std::move(*answer_);
    }
    /// Returns the server's requests since the last call.
    [[nodiscard]] std::vector<McpMessage> requests() { return std::exchange(requests_, {}); }

private:
    enum class Form : std::uint8_t { unknown, json, events, other };

    void fail(std::error_code error) noexcept { error_ = error; }

    void take_events(std::string_view piece) {
        while (std::optional<EventStream::Event> event = events_.next(piece)) {
            if (event->type == "message") read(event->data, false);
            if (over()) return;
        }
        if (events_.too_long()) fail(HttpErrc::too_long);
    }

    void read(std::string_view text, bool whole) {
        auto messages = read_messages(text);
        if (!messages) return fail(messages.error());
        for (McpMessage& message : *messages) {
            if (message.kind == McpMessage::Kind::request) {
                if (requests_.size() == mcp_requests_max) return fail(mcp::Errc::asks_too_much);
                requests_.push_back(std::move(message));
            } else if (message.kind != McpMessage::Kind::notification && is_ours(message)) {
                if (answer_ && whole) return fail(mcp::Errc::two_answers);
                if (!answer_) answer_.emplace(std::move(message));
            }
        }
    }
    /// An error without an id belongs to our request, because there is no other.
    [[nodiscard]] bool is_ours(const McpMessage& message) const {
        return message.id.is_null() || (message.id.is_number_integer() && message.id == id_);
    }

    std::uint64_t id_;
    std::size_t bytes_max_;
    Form form_ = Form::unknown;
    std::string body_;
    EventStream events_;
    std::optional<McpMessage> answer_;
    std::error_code error_;
    std::vector<McpMessage> requests_;
};

/// One client of one server: its session, its calls, and its requests under way.
///
///     const std::uint64_t call = core.call("fetch_scene", {{"session_id", "board-1"}});
///     for (McpSend& send : core.sends()) post(send);          // initialize, at first
///     core.receive(number, head, piece); core.finish(number, response);
///     while (std::optional<McpDone> done = core.next_done()) report(*done);
///
/// Thread safety: a plain value that can be moved.   Throws: std::bad_alloc, in all functions that
/// store something.
class McpCore {
    using Aim = McpSend::Aim;

public:
    explicit McpCore(McpCoreOptions options) : options_{std::move(options)} {}

    /// Starts a call of a tool. next_done() returns its result, once.   Pre: not closed.
    std::uint64_t call(std::string tool, McpJson arguments) {
        BELAY_PRECONDITION(!closed_, "McpCore::call: the client must not be closed");
        calls_.push_back({++last_, std::move(tool), std::move(arguments)});
        const std::uint64_t number = last_;
        pump();
        return number;
    }
    /// Drops a call whose result is no longer needed. next_done() does not return it.
    void give_up(std::uint64_t call) {
        const auto at = find_numbered(calls_, call);
        if (at == calls_.end()) return;
        const auto under_way = find_numbered(exchanges_, at->exchange);
        calls_.erase(at);
        if (under_way == exchanges_.end()) return;
        const Exchange exchange = take(under_way);
        // A request that was not sent yet is not sent.
        if (std::erase_if(sends_, [&](const McpSend& s) { return s.number == exchange.number; }) ==
            0) {
            drops_.push_back(exchange.number);
            cancel(exchange, "nobody waits for it any more");
        }
    }
    /// Ends the session. After this there is at most one request, which ends the session.
    void close() {
        closed_ = true;
        end_failure_ = {};
        calls_.clear();
        sends_.clear();
        for (const Exchange& exchange : exchanges_) drops_.push_back(exchange.number);
        exchanges_.clear();
        if (session_.empty()) return;
        post(Aim::end_session, "");
    }

    /// Sets the token of request `number`, so that no text contains it.
    void hide(std::uint64_t number, std::string token) {
        const auto at = find_numbered(exchanges_, number);
        if (at != exchanges_.end()) at->secret = std::move(token);
    }
    /// Takes a piece of the response to request `number`, with its head.
    void receive(std::uint64_t number, const HttpResponse& head, std::string_view piece) {
        const auto at = find_numbered(exchanges_, number);
        if (at == exchanges_.end()) return;
        if (head.status < 200 || head.status > 299) {
            // Keeps a part of the text for people. Only the status decides.
            at->rejection += piece.substr(0, words_max - std::min(words_max, at->rejection.size()));
            return;
        }
        // A request without an answer needs only the status.
        if (!at->answer) return settle(take(at), head);
        at->answer->take(head, piece);
        if (!reply_to(at->answer->requests())) {
            drops_.push_back(number);
            return fail(take(find_numbered(exchanges_, number)), mcp::Errc::asks_too_much);
        }
        const auto now = find_numbered(exchanges_, number);
        if (now->answer->over()) settle(take(now), head);
    }
    /// Takes the end of the response to request `number`, or the reason for its failure.
    void finish(std::uint64_t number, const HttpResponse& response) {
        const auto at = find_numbered(exchanges_, number);
        if (at != exchanges_.end()) settle(take(at), response);
    }

    /// Returns the requests to send now, in this order.
    [[nodiscard]] std::vector<McpSend> sends() { return std::exchange(sends_, {}); }
    /// Returns the next finished call.
    [[nodiscard]] std::optional<McpDone> next_done() {
        if (done_.empty()) return std::nullopt;
        McpDone done = std::move(done_.front());
        done_.pop_front();
        return done;
    }
    /// Returns the requests to abort.
    [[nodiscard]] std::vector<std::uint64_t> drops() { return std::exchange(drops_, {}); }
    [[nodiscard]] bool has_done() const noexcept { return !done_.empty(); }
    /// Whether sends(), next_done() or drops() would return anything.
    [[nodiscard]] bool has_output() const noexcept {
        return !sends_.empty() || !done_.empty() || !drops_.empty();
    }
    /// Whether the response to this request is still needed.
    [[nodiscard]] bool awaits(std::uint64_t number) const noexcept {
        return find_numbered(exchanges_, number) != exchanges_.end();
    }
    /// Whether the end of the session is still being reported to the server.
    [[nodiscard]] bool is_closing() const noexcept { return closed_ && !exchanges_.empty(); }
    /// Returns the failure of the request that ended the session. There is none before that
    /// request, and none without a session.
    [[nodiscard]] const Failure& end_failure() const noexcept { return end_failure_; }

private:
    static constexpr std::size_t words_max = 4096;
    static constexpr std::size_t cancelled_max = 64;
    static constexpr const char* newest = "2025-06-18";

    /// A call that waits, or is under way.
    struct Call {
        std::uint64_t number;
        std::string tool;
        McpJson arguments;
        std::uint64_t exchange = 0;
        bool again = false;  // in a new session
    };
    /// A request under way.
    struct Exchange {
        std::uint64_t number;
        Aim aim;
        std::uint64_t call;
        std::string session;
        std::optional<McpAnswer> answer;
        std::string secret{};
        std::string rejection{};
    };
    enum class Phase : std::uint8_t { none, initializing, unconfirmed, confirming, ready };

    [[nodiscard]] std::size_t count_of(Aim aim) const noexcept {
        return static_cast<std::size_t>(
            std::count_if(exchanges_.begin(), exchanges_.end(),
                          [aim](const Exchange& exchange) { return exchange.aim == aim; }));
    }
    [[nodiscard]] Exchange take(std::vector<Exchange>::iterator at) {
        Exchange exchange = std::move(*at);
        exchanges_.erase(at);
        return exchange;
    }

    // ---- requests -------------------------------------------------------------------------------

    std::uint64_t post(Aim aim, std::string body, std::uint64_t call = 0) {
        const std::uint64_t number = ++last_;
        std::optional<McpAnswer> answer;
        if (aim == Aim::initialize || aim == Aim::call) answer.emplace(number, options_);
        exchanges_.push_back({number, aim, call, session_, std::move(answer)});
        sends_.push_back({number, aim, std::move(body), session_, version_});
        return number;
    }
    void pump() {
        if (closed_) return;
        const bool waits = std::any_of(calls_.begin(), calls_.end(),
                                       [](const Call& call) { return call.exchange == 0; });
        if (!waits) return;
        if (phase_ == Phase::none) return initialize();
        if (phase_ == Phase::unconfirmed) return confirm();
        if (phase_ != Phase::ready) return;
        for (Call& call : calls_) {
            if (call.exchange != 0) continue;
            McpJson params{{"name", call.tool}, {"arguments", call.arguments}};
            call.exchange = post(Aim::call, mcp_request(last_ + 1, "tools/call", std::move(params)),
                                 call.number);
        }
    }
    void initialize() {
        phase_ = Phase::initializing;
        const std::string version = std::to_string(BELAY_VERSION_MAJOR) + "." +
                                    std::to_string(BELAY_VERSION_MINOR) + "." +
                                    std::to_string(BELAY_VERSION_PATCH);
        post(Aim::initialize,
             mcp_request(last_ + 1, "initialize",
                         {{"protocolVersion", newest},
                          {"capabilities", McpJson::object()},
                          {"clientInfo", {{"name", "belay"}, {"version", version}}}}));
    }
    void confirm() {
        phase_ = Phase::confirming;
        post(Aim::initialized, mcp_notification("notifications/initialized"));
    }
    void cancel(const Exchange& exchange, const char* why) {
        // A lost session has no calls either.
        if (phase_ != Phase::ready || exchange.session != session_) return;
        // Bounds the cancellations that cannot be sent until there is a token.
        if (count_of(Aim::cancelled) >= cancelled_max) return;
        post(Aim::cancelled, mcp_notification("notifications/cancelled",
                                              {{"requestId", exchange.number}, {"reason", why}}));
    }
    /// Answers the server's requests.   Returns: false if there are too many.
    bool reply_to(const std::vector<McpMessage>& requests) {
        if (count_of(Aim::reply) + requests.size() > mcp_requests_max) return false;
        for (const McpMessage& request : requests) post(Aim::reply, mcp_reply(request));
        return true;
    }

    // ---- responses ------------------------------------------------------------------------------

    void settle(Exchange exchange, const HttpResponse& response) {
        if (response.status != 0 && (response.status < 200 || response.status > 299)) {
            return rejected(std::move(exchange), response);
        }
        // An answer counts even if the connection broke after it.
        const bool answered = exchange.answer && exchange.answer->over();
        if (!answered && !response.complete()) return broken(std::move(exchange), response);
        switch (exchange.aim) {
            case Aim::initialize:
                return initialized(std::move(exchange), response);
            case Aim::initialized:
                if (phase_ == Phase::confirming) phase_ = Phase::ready;
                return pump();
            case Aim::call:
                return called(std::move(exchange));
            case Aim::reply:
            case Aim::cancelled:
            case Aim::end_session:
                return;
        }
    }
    /// Handles a status that is a rejection. The status decides, and not the body.
    void rejected(Exchange exchange, const HttpResponse& response) {
        // Also used for an incomplete body.
        Failure failure = http_failure(HttpResponse{
            .status = response.status, .headers = response.headers, .received = response.received});
        if (response.status == 403) failure.cause = Cause::unauthorized;
        if (exchange.aim == Aim::end_session) {
            // The session is gone, or we may not end it: nothing is left to do.
            if (failure.cause != Cause::permanent) end_failure_ = failure;
            return;
        }
        const bool lost = is_of_lost_session(exchange, response.status);
        if (lost && exchange.session == session_) {
            // After a 400 the server may still have the session, so it is ended.
            if (response.status != 404) post(Aim::end_session, "");
            drop_session();
        }
        const auto call = find_numbered(calls_, exchange.call);
        if (lost && exchange.aim == Aim::call && call != calls_.end() && !call->again) {
            call->again = true;
            call->exchange = 0;
            return pump();
        }
        std::string words = McpLogText{exchange.secret}(text_of_rejection(exchange.rejection));
        fail(std::move(exchange), mcp::Error{failure, 0, std::move(words)});
    }
    /// Whether the status means that the session is lost. 404 means so. Servers that have one
    /// session for all clients return 400 after a restart, without an error code for a wrong
    /// message.
    [[nodiscard]] static bool is_of_lost_session(const Exchange& exchange, int status) {
        if (exchange.session.empty()) return false;
        return status == 404 || (status == 400 && !is_about_message(exchange.rejection));
    }
    void broken(Exchange exchange, const HttpResponse& response) {
        if (exchange.aim == Aim::end_session) end_failure_ = response.failure;
        if (exchange.aim == Aim::call && response.failure.cause == Cause::timed_out) {
            cancel(exchange, "timed out");
        }
        Failure failure = response.failure;
        // A request that was not sent is no rejection of the session.
        if (!response.sent && failure.cause == Cause::permanent) failure.cause = Cause::refused;
        fail(std::move(exchange), mcp::Error{failure, 0, {}});
    }

    void initialized(Exchange exchange, const HttpResponse& response) {
        std::optional<McpMessage> message = result_in(exchange);
        if (!message) return;
        const auto version = message->body.find("protocolVersion");
        constexpr std::string_view known[] = {newest, "2025-11-25", "2025-03-26"};
        const bool spoken = version != message->body.end() && version->is_string() &&
                            std::find(std::begin(known), std::end(known),
                                      version->get_ref<const std::string&>()) != std::end(known);
        if (!spoken) return fail(std::move(exchange), mcp::Errc::version_rejected);
        const std::string* const session = response.headers.find("Mcp-Session-Id");
        if (session != nullptr && !is_session_id(*session)) {
            return fail(std::move(exchange), mcp::Errc::bad_session);
        }
        session_ = session != nullptr ? *session : "";
        version_ = version->get<std::string>();
        confirm();
    }
    [[nodiscard]] static bool is_session_id(std::string_view id) noexcept {
        return !id.empty() && id.size() <= 1024 &&
               std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    }

    void called(Exchange exchange) {
        std::optional<McpMessage> message = result_in(exchange);
        if (!message) return;
        const auto is_error = message->body.find("isError");
        if (is_error != message->body.end() && *is_error != false) {
            std::string words = McpLogText{exchange.secret}(text_of_result(message->body));
            return fail(std::move(exchange),
                        classified({Failure::from(mcp::Errc::tool_failed), 0, std::move(words)}));
        }
        over({exchange.call, {}, std::move(message->body)});
    }
    /// Returns the result that an answer has. If it has none, the exchange has failed.
    [[nodiscard]] std::optional<McpMessage> result_in(Exchange& exchange) {
        exchange.answer->end();
        // The requests in a JSON body are only known now.
        if (!reply_to(exchange.answer->requests())) {
            fail(std::move(exchange), mcp::Errc::asks_too_much);
            return std::nullopt;
        }
        Result<McpMessage> message = std::move(*exchange.answer).answer();
        if (message && message->kind != McpMessage::Kind::error) return std::move(*message);
        // Before `exchange` is moved, because the order in which arguments are evaluated is
        // unspecified.
        mcp::Error error = message
                               ? classified(error_of(message->body, McpLogText{exchange.secret}))
                               : mcp::Error{Failure::from(message.error()), 0, {}};
        fail(std::move(exchange), std::move(error));
        return std::nullopt;
    }

    // ---- results --------------------------------------------------------------------------------

    void fail(Exchange exchange, std::error_code error) {
        fail(std::move(exchange), mcp::Error{Failure::from(error), 0, {}});
    }
    void fail(Exchange exchange, const mcp::Error& error) {
        if (exchange.aim == Aim::call) return over({exchange.call, error, {}});
        if (exchange.aim != Aim::initialize && exchange.aim != Aim::initialized) return;
        if (phase_ == Phase::initializing) phase_ = Phase::none;
        if (phase_ == Phase::confirming) phase_ = Phase::unconfirmed;
        // All waiting calls have waited for this request.
        for (const Call& call : calls_) {
            if (call.exchange == 0) done_.push_back({call.number, error, {}});
        }
        std::erase_if(calls_, [](const Call& call) { return call.exchange == 0; });
    }
    void over(McpDone done) {
        std::erase_if(calls_, [&](const Call& one) { return one.number == done.call; });
        done_.push_back(std::move(done));
        pump();
    }
    void drop_session() {
        phase_ = Phase::none;
        session_.clear();
        version_.clear();
    }
    [[nodiscard]] mcp::Error classified(mcp::Error error) {
        if (options_.is_retryable(error)) {
            error.failure.cause = Cause::overloaded;
        }
        return error;
    }

    McpCoreOptions options_;
    Phase phase_ = Phase::none;
    bool closed_ = false;
    std::string session_;
    std::string version_;
    std::uint64_t last_ = 0;
    std::vector<Call> calls_;
    std::vector<Exchange> exchanges_;
    std::vector<McpSend> sends_;
    std::deque<McpDone> done_;
    std::vector<std::uint64_t> drops_;
    Failure end_failure_{};
};

}}}  // namespace belay::detail
