// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/mcp_core.hpp
/// McpCore: all decisions of mcp::Remote, without sockets: received messages, requests to send, and
/// finished calls.
#pragma once

#include <algorithm>    // std::find_if, std::count_if
#include <deque>        // std::deque
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/adapter/detail/mcp_answer.hpp>
#include <belay/adapter/detail/mcp_step.hpp>
#include <belay/adapter/mcp_options.hpp>
#include <belay/version.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The limits of an answer, and the function that decides whether an error can be retried.
struct McpCoreOptions {
    McpLimits limits{};
    McpErrorPredicate is_retryable{};
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
        const auto under_way = find_numbered(wires_, at->wire);
        calls_.erase(at);
        if (under_way == wires_.end()) return;
        const Wire wire = take(under_way);
        // A request that was not sent yet is not sent.
        if (std::erase_if(sends_, [&](const McpSend& s) { return s.number == wire.number; }) == 0) {
            drops_.push_back(wire.number);
            cancel(wire, "nobody waits for it any more");
        }
    }
    /// Ends the session. After this there is at most one request, the farewell.
    void close() {
        closed_ = true;
        farewell_ = {};
        calls_.clear();
        sends_.clear();
        for (const Wire& wire : wires_) drops_.push_back(wire.number);
        wires_.clear();
        if (session_.empty()) return;
        post(Aim::farewell, "");
    }

    /// Sets the token of request `number`, so that no text contains it.
    void hide(std::uint64_t number, std::string token) {
        const auto at = find_numbered(wires_, number);
        if (at != wires_.end()) at->secret = std::move(token);
    }
    /// Takes a piece of the response to request `number`, with its head.
    void receive(std::uint64_t number, const HttpResponse& head, std::string_view piece) {
        const auto at = find_numbered(wires_, number);
        if (at == wires_.end()) return;
        if (head.status < 200 || head.status > 299) {
            // Keeps a part of the text for people. Only the status decides.
            at->refusal += piece.substr(0, words_max - std::min(words_max, at->refusal.size()));
            return;
        }
        // A request without an answer needs only the status.
        if (!at->answer) return settle(take(at), head);
        at->answer->take(head, piece);
        if (!reply_to(at->answer->requests())) {
            drops_.push_back(number);
            return fail(take(find_numbered(wires_, number)), mcp::Errc::asks_too_much);
        }
        const auto now = find_numbered(wires_, number);
        if (now->answer->over()) settle(take(now), head);
    }
    /// Takes the end of the response to request `number`, or the reason for its failure.
    void finish(std::uint64_t number, const HttpResponse& response) {
        const auto at = find_numbered(wires_, number);
        if (at != wires_.end()) settle(take(at), response);
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
    [[nodiscard]] bool has_news() const noexcept {
        return !sends_.empty() || !done_.empty() || !drops_.empty();
    }
    /// Whether the response to this request is still needed.
    [[nodiscard]] bool awaits(std::uint64_t number) const noexcept {
        return find_numbered(wires_, number) != wires_.end();
    }
    /// Whether the end of the session is still being reported to the server.
    [[nodiscard]] bool is_closing() const noexcept { return closed_ && !wires_.empty(); }
    /// Returns the failure of the farewell; no failure before it, and if there was no session.
    [[nodiscard]] const Failure& farewell() const noexcept { return farewell_; }

private:
    static constexpr std::size_t words_max = 4096;
    static constexpr std::size_t cancelled_max = 64;
    static constexpr const char* newest = "2025-06-18";

    /// A call that waits, or is under way.
    struct Call {
        std::uint64_t number;
        std::string tool;
        McpJson arguments;
        std::uint64_t wire = 0;
        bool again = false;  // in a new session
    };
    /// A request under way.
    struct Wire {
        std::uint64_t number;
        Aim aim;
        std::uint64_t call;
        std::string session;
        std::optional<McpAnswer> answer;
        std::string secret{};
        std::string refusal{};
    };
    enum class Phase : std::uint8_t { none, initializing, unconfirmed, confirming, ready };

    [[nodiscard]] std::size_t count_of(Aim aim) const noexcept {
        return static_cast<std::size_t>(std::count_if(
            wires_.begin(), wires_.end(), [aim](const Wire& wire) { return wire.aim == aim; }));
    }
    [[nodiscard]] Wire take(std::vector<Wire>::iterator at) {
        Wire wire = std::move(*at);
        wires_.erase(at);
        return wire;
    }

    // ---- requests -------------------------------------------------------------------------------

    std::uint64_t post(Aim aim, std::string body, std::uint64_t call = 0) {
        const std::uint64_t number = ++last_;
        std::optional<McpAnswer> answer;
        if (aim == Aim::initialize || aim == Aim::call) answer.emplace(number, options_.limits);
        wires_.push_back({number, aim, call, session_, std::move(answer)});
        sends_.push_back({number, aim, std::move(body), session_, version_});
        return number;
    }
    void pump() {
        if (closed_) return;
        const bool waits = std::any_of(calls_.begin(), calls_.end(),
                                       [](const Call& call) { return call.wire == 0; });
        if (!waits) return;
        if (phase_ == Phase::none) return initialize();
        if (phase_ == Phase::unconfirmed) return confirm();
        if (phase_ != Phase::ready) return;
        for (Call& call : calls_) {
            if (call.wire != 0) continue;
            McpJson params{{"name", call.tool}, {"arguments", call.arguments}};
            call.wire = post(Aim::call, mcp_request(last_ + 1, "tools/call", std::move(params)),
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
    void cancel(const Wire& wire, const char* why) {
        // A lost session has no calls either.
        if (phase_ != Phase::ready || wire.session != session_) return;
        // Bounds the cancellations that cannot be sent until there is a token.
        if (count_of(Aim::cancelled) >= cancelled_max) return;
        post(Aim::cancelled, mcp_notification("notifications/cancelled",
                                              {{"requestId", wire.number}, {"reason", why}}));
    }
    /// Answers the server's requests.   Returns: false if there are too many.
    bool reply_to(const std::vector<McpMessage>& requests) {
        if (count_of(Aim::reply) + requests.size() > mcp_requests_max) return false;
        for (const McpMessage& request : requests) post(Aim::reply, mcp_reply(request));
        return true;
    }

    // ---- responses ------------------------------------------------------------------------------

    void settle(Wire wire, const HttpResponse& response) {
        if (response.status != 0 && (response.status < 200 || response.status > 299)) {
            return refused(std::move(wire), response);
        }
        // An answer counts even if the connection broke after it.
        const bool answered = wire.answer && wire.answer->over();
        if (!answered && !response.complete()) return broken(std::move(wire), response);
        switch (wire.aim) {
            case Aim::initialize:
                return initialized(std::move(wire), response);
            case Aim::initialized:
                if (phase_ == Phase::confirming) phase_ = Phase::ready;
                return pump();
            case Aim::call:
                return called(std::move(wire));
            case Aim::reply:
            case Aim::cancelled:
            case Aim::farewell:
                return;
        }
    }
    /// Handles a status that is a refusal. The status decides, and not the body.
    void refused(Wire wire, const HttpResponse& response) {
        // Also used for an incomplete body.
        Failure failure =
            http_failure(HttpResponse{.status = response.status, .headers = response.headers});
        if (response.status == 403) failure.cause = Cause::unauthorized;
        if (wire.aim == Aim::farewell) {
            // The session is gone, or we may not end it: nothing is left to do.
            if (failure.cause != Cause::permanent) farewell_ = failure;
            return;
        }
        const bool lost = is_of_lost_session(wire, response.status);
        if (lost && wire.session == session_) {
            // After a 400 the server may still have the session, so it is ended.
            if (response.status != 404) post(Aim::farewell, "");
            drop_session();
        }
        const auto call = find_numbered(calls_, wire.call);
        if (lost && wire.aim == Aim::call && call != calls_.end() && !call->again) {
            call->again = true;
            call->wire = 0;
            return pump();
        }
        std::string words = McpWords{wire.secret}(text_of_refusal(wire.refusal));
        fail(std::move(wire), mcp::Error{failure, 0, std::move(words)});
    }
    /// Whether the status means that the session is lost. 404 means so. Servers that have one
    /// session for all clients return 400 after a restart, without an error code for a wrong
    /// message.
    [[nodiscard]] static bool is_of_lost_session(const Wire& wire, int status) {
        if (wire.session.empty()) return false;
        return status == 404 || (status == 400 && !is_about_message(wire.refusal));
    }
    void broken(Wire wire, const HttpResponse& response) {
        if (wire.aim == Aim::farewell) farewell_ = response.failure;
        if (wire.aim == Aim::call && response.failure.cause == Cause::timed_out) {
            cancel(wire, "timed out");
        }
        Failure failure = response.failure;
        // A request that was not sent is no refusal of the session.
        if (!response.sent && failure.cause == Cause::permanent) failure.cause = Cause::refused;
        fail(std::move(wire), mcp::Error{failure, 0, {}});
    }

    void initialized(Wire wire, const HttpResponse& response) {
        Result<McpMessage> message = message_in(wire);
        if (!message) return fail(std::move(wire), message.error());
        if (message->kind == McpMessage::Kind::error) {
            // Before `wire` is moved, because the order in which arguments are evaluated is
            // unspecified.
            mcp::Error error = classified(error_of(message->body, McpWords{wire.secret}));
            return fail(std::move(wire), std::move(error));
        }
        const auto version = message->body.find("protocolVersion");
        constexpr std::string_view known[] = {newest, "2025-11-25", "2025-03-26"};
        const bool spoken = version != message->body.end() && version->is_string() &&
                            std::find(std::begin(known), std::end(known),
                                      version->get_ref<const std::string&>()) != std::end(known);
        if (!spoken) return fail(std::move(wire), mcp::Errc::version_refused);
        const std::string* const session = response.headers.find("Mcp-Session-Id");
        if (session != nullptr && !is_session_id(*session)) {
            return fail(std::move(wire), mcp::Errc::bad_session);
        }
        session_ = session != nullptr ? *session : "";
        version_ = version->get<std::string>();
        confirm();
    }
    [[nodiscard]] static bool is_session_id(std::string_view id) noexcept {
        return !id.empty() && id.size() <= 1024 &&
               std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    }

    void called(Wire wire) {
        Result<McpMessage> message = message_in(wire);
        if (!message) return fail(std::move(wire), message.error());
        if (message->kind == McpMessage::Kind::error) {
            // Before `wire` is moved, because the order in which arguments are evaluated is
            // unspecified.
            mcp::Error error = classified(error_of(message->body, McpWords{wire.secret}));
            return fail(std::move(wire), std::move(error));
        }
        const auto is_error = message->body.find("isError");
        if (is_error != message->body.end() && *is_error != false) {
            std::string words = McpWords{wire.secret}(text_of_result(message->body));
            return fail(std::move(wire),
                        classified({Failure::from(mcp::Errc::tool_failed), 0, std::move(words)}));
        }
        over({wire.call, {}, std::move(message->body)});
    }
    [[nodiscard]] Result<McpMessage> message_in(Wire& wire) {
        wire.answer->end();
        // The requests in a JSON body are only known now.
        if (!reply_to(wire.answer->requests())) return mcp::Errc::asks_too_much;
        return std::move(*wire.answer).answer();
    }

    // ---- results --------------------------------------------------------------------------------

    void fail(Wire wire, std::error_code error) {
        fail(std::move(wire), mcp::Error{Failure::from(error), 0, {}});
    }
    void fail(Wire wire, const mcp::Error& error) {
        if (wire.aim == Aim::call) return over({wire.call, error, {}});
        if (wire.aim != Aim::initialize && wire.aim != Aim::initialized) return;
        if (phase_ == Phase::initializing) phase_ = Phase::none;
        if (phase_ == Phase::confirming) phase_ = Phase::unconfirmed;
        // All waiting calls have waited for this request.
        for (const Call& call : calls_) {
            if (call.wire == 0) done_.push_back({call.number, error, {}});
        }
        std::erase_if(calls_, [](const Call& call) { return call.wire == 0; });
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
    std::vector<Wire> wires_;
    std::vector<McpSend> sends_;
    std::deque<McpDone> done_;
    std::vector<std::uint64_t> drops_;
    Failure farewell_{};
};

}}}  // namespace belay::detail
