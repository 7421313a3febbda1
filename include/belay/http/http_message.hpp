// SPDX-License-Identifier: MIT
/// \file belay/http/http_message.hpp
/// HttpHeaders, HttpRequest, HttpResponse: a request to an HTTP client, and its answer.
/// HttpResponse::verdict: the meaning of a response, or of its absence, for the next attempt.
/// HttpLike: an HTTP client; implement it to use your own.
#pragma once

#include <cstdint>           // std::uint8_t, std::uint32_t
#include <functional>        // std::function
#include <initializer_list>  // std::initializer_list
#include <limits>            // std::numeric_limits
#include <optional>          // std::optional
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <type_traits>       // std::is_nothrow_move_constructible_v
#include <utility>           // std::move, std::forward, std::declval
#include <vector>            // std::vector

#include <belay/call/outcome.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_errc.hpp>
#include <belay/policy/detail/causes.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The header fields of a request or response, in their order; names are compared without case.
///
///     HttpHeaders headers{{"Accept", "application/json"}};
///     headers.set({"Authorization", "Bearer " + token});
///     if (const std::string* id = response.headers.find("mcp-session-id")) keep(*id);
///
/// Thread safety: a plain value.   Complexity: O(fields) each.
class HttpHeaders {
public:
    struct Field {
        std::string name;
        /// The value, without spaces around it.
        std::string value;
        friend bool operator==(const Field&, const Field&) = default;
    };

    HttpHeaders() noexcept = default;
    HttpHeaders(std::initializer_list<Field> fields) : fields_{fields} {}

    /// Appends a field.   Throws: std::bad_alloc.
    void add(Field field) { fields_.push_back(std::move(field)); }
    /// Appends a field and removes all others of its name.   Throws: std::bad_alloc.
    void set(Field field) {
        std::erase_if(fields_,
                      [&](const Field& f) { return detail::is_same_name(f.name, field.name); });
        add(std::move(field));
    }
    /// Returns the value of the first field of this name, or null if there is none.
    [[nodiscard]] const std::string* find(std::string_view name) const noexcept {
        for (const Field& f : fields_) {
            if (detail::is_same_name(f.name, name)) return &f.value;
        }
        return nullptr;
    }

    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }
    /// Returns the number of fields.
    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    /// Returns whether there are none.
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

    friend bool operator==(const HttpHeaders&, const HttpHeaders&) = default;

private:
    std::vector<Field> fields_;
};

namespace detail {

/// See HttpResponse::Verdict.
struct HttpVerdict {
    /// The health of a server, as a response shows it.
    enum class Host : std::uint8_t {
        failure,  ///< the server, or the way to it, is in trouble
        success,  ///< the server is well, also if it rejects the request
        neutral   ///< nothing is shown: the cause is on this side, or the server only asks for a
                  ///< slower pace
    };

    /// Whether another attempt may succeed.
    bool repeats = false;
    /// The result for a breaker.
    Host host = Host::success;
    /// Whether the failure costs what a budget takes for a failure.
    bool pays = false;

    friend constexpr bool operator==(const HttpVerdict&, const HttpVerdict&) noexcept = default;
};

/// See HttpResponse::History.
struct HttpHistory {
    /// Whether the endpoint has accepted a request or an upgrade since the program began.
    bool accepted = false;
    /// The definite rejections in a row, this one included; 0 if this is none.
    std::uint32_t rejections = 0;
    /// The time since the first of them.
    Duration lasting{};
    /// Whether they are as many, and have lasted as long, as a Patience requires.
    bool settled = false;

    friend constexpr bool operator==(const HttpHistory&, const HttpHistory&) noexcept = default;
};

}  // namespace detail

struct HttpRequest;

/// The response of a server, or the reason why there is none.
///
/// Every response that arrived whole is complete(), for any status. Look at the status first, then
/// at the body. http_failure(response) treats both kinds of failure alike. A `retry` and a Pipeline
/// use it to decide whether a call that returns a response has failed.
///
/// Thread safety: a plain value.
struct HttpResponse {
    /// The meaning of a response, or of its absence. The three members are independent.
    using Verdict = detail::HttpVerdict;
    /// The former answers of the endpoint, for a verdict.
    using History = detail::HttpHistory;
    /// A user's own verdicts. The function returns nullopt for a response that verdict() decides.
    /// It is called once for each response, on the thread of the caller. If it throws, verdict()
    /// decides.
    ///
    ///     .classify = [](const HttpRequest& request, const HttpResponse& response,
    ///                    const auto&) -> std::optional<HttpResponse::Verdict> {
    ///         if (response.status != 409 || !request.headers.find("Idempotency-Key")) return {};
    ///         return HttpResponse::Verdict{.repeats = true, .pays = true};
    ///     }
    ///
    /// A status from 200 to 299 with a verdict that repeats, or that is a failure of the host, is a
    /// failure of the call.
    using Classify = std::function<std::optional<Verdict>(const HttpRequest&, const HttpResponse&,
                                                          const History&)>;

    /// The status code that the server sent; 0 if nothing arrived.
    int status = 0;
    /// The headers, without those of trailers.
    HttpHeaders headers{};
    /// The decompressed body; empty if it was passed to on_chunk.
    std::string body{};
    /// The reason why the response is missing or not whole; no failure if it is whole. The members
    /// above hold what arrived until then.
    Failure failure{};
    /// Whether the server may have seen the request. It is false only if the server certainly has
    /// not: then sending the request again does nothing twice.
    bool sent = true;
    /// The wall clock of the client when the head of a response without a `Date` arrived. It serves
    /// a Retry-After that is a date.
    std::optional<WallTime> received{};

    /// Returns whether the response is whole, for any status.
    [[nodiscard]] bool complete() const noexcept { return failure.cause == Cause::none; }
    /// Returns the verdict on this answer to a request: the default of HttpCalls, and of the
    /// upgrades of beast::WebSocket. docs/reference/http-verdicts.md has the table for both.
    ///
    /// A request with the header `Upgrade` opens a connection. Each status of its answer may pass,
    /// except 401, 407, and a rejection with `history.settled`.
    ///
    /// Complexity: O(1).
    [[nodiscard]] Verdict verdict(const HttpRequest& request,
                                  const History& history = {}) const noexcept;

    friend bool operator==(const HttpResponse&, const HttpResponse&) = default;
};

namespace detail {
/// Returns whether a response has this media type, with or without parameters.
[[nodiscard]] inline bool has_media_type(const HttpResponse& head, std::string_view type) noexcept {
    const std::string* const field = head.headers.find("Content-Type");
    const std::string_view sent = field == nullptr ? std::string_view{} : *field;
    return is_same_name(trimmed(sent.substr(0, sent.find(';'))), type);
}
/// Returns the wait that the Retry-After of a response asks for; 0ns without one.
[[nodiscard]] inline Duration requested_wait(const HttpResponse& response,
                                             Duration trusted_max) noexcept {
    const std::string* const wait = response.headers.find("Retry-After");
    const std::string* const date = response.headers.find("Date");
    if (wait == nullptr) return {};
    return RetryAfter{*wait, date != nullptr ? std::string_view{*date} : "", response.received,
                      trusted_max}
        .wait();
}
}  // namespace detail

/// Returns the failure that a response stands for.
///
/// This is the reason why the response is not whole. For a whole response, it is the failure of its
/// status, with the wait that its Retry-After asks for. A status from 200 to 299 is no failure.
///
/// Seconds are rounded up, and the first element of a list counts. A date is measured from the
/// response's own `Date`. Without one, it is measured from HttpResponse::received, and counts only
/// up to `trusted_max`. A value that is empty, negative or of another form, and a date that has
/// passed, is a wait of 5 s, or of `trusted_max` if that is shorter. The wait is at most one day.
[[nodiscard]] inline Failure http_failure(const HttpResponse& response,
                                          Duration trusted_max = std::chrono::seconds{
                                              30}) noexcept {
    if (!response.complete()) return response.failure;
    return http_failure(response.status, detail::requested_wait(response, trusted_max));
}

/// Makes calls that return an HttpResponse fail as http_failure(response) defines.
template <>
struct AnswerTraits<HttpResponse> {
    /// Returns http_failure(response).
    [[nodiscard]] static Failure failed(const HttpResponse& response) noexcept {
        return http_failure(response);
    }
};

namespace detail {

/// A function that receives a response in pieces; must be noexcept.
class OnChunk {
public:
    OnChunk() noexcept = default;
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, OnChunk> &&
                 std::is_invocable_v<std::decay_t<F>&, const HttpResponse&, std::string_view>)
    OnChunk(F&& f) : function_{std::forward<F>(f)} {
        static_assert(
            std::is_nothrow_invocable_v<std::decay_t<F>&, const HttpResponse&, std::string_view>,
            "HttpRequest: on_chunk must be noexcept, because C code calls it");
    }
    /// Pre: not empty.
    void operator()(const HttpResponse& head, std::string_view piece) { function_(head, piece); }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(function_); }

private:
    Function<void(const HttpResponse&, std::string_view)> function_;
};

}  // namespace detail

/// A request to an HTTP client.
///
///     HttpRequest{.url = "https://example.com/mcp",
///                 .method = "POST",
///                 .headers = {{"Content-Type", "application/json"}},
///                 .body = R"({"jsonrpc":"2.0","id":1,"method":"ping"})",
///                 .deadline = 10s}
///
/// Thread safety: a plain value that can be moved but not copied.
struct HttpRequest {
    /// A value of body_bytes_max for no limit. Use it only with an on_chunk that stores little.
    static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

    /// An absolute URL of http or https, without credentials, which belong into a header.
    std::string url{};
    /// The method, such as GET.
    std::string method = "GET";
    /// The fields to add to those that the client writes itself: Host, Content-Length,
    /// Accept-Encoding.
    HttpHeaders headers{};
    /// Empty for a HEAD.
    std::string body{};
    /// The time from request() to the end of the response; `forever` for a stream without an end.
    /// If it is 0ns or less, the request fails with HttpErrc::timed_out and is not sent. The rest
    /// of a deadline that has passed is such a value.
    Duration deadline = std::chrono::seconds{30};
    /// The maximum length of the body, of all pieces together, after decompression.
    std::size_t body_bytes_max = std::size_t{16} << 20;
    /// Whether redirections are followed: at most three, and only to the same scheme, host and
    /// port. A redirection that is not followed is the response.
    bool redirects = false;
    /// Whether the request gets a connection of its own, which is dialled anew, and no kept one.
    /// HttpCalls sets it after a status of 421.
    bool fresh_connection = false;
    /// Receives the response in pieces, if given: `(const HttpResponse& head, std::string_view
    /// piece) noexcept`. Each call has the status and headers. The first call comes as soon as
    /// these have arrived, with an empty piece. The response's body then stays empty.
    ///
    /// It is called on the client's thread, after request() has returned and before the answer. It
    /// is never called after the handle is destroyed, and may itself destroy the handle.
    detail::OnChunk on_chunk{};
};

namespace detail {

/// How often and how long an endpoint must reject upgrades, until a link gives it up.
///
/// While a server restarts, the proxy in front of it answers in its place, often with 404. So one
/// such status is not the word of the server. A status counts if it is a definite rejection: 100 to
/// 499, except those that HttpResponse::verdict repeats anyway.
///
/// Thread safety: a plain value.
struct HttpPatience {
    /// The rejections in a row; 0 is the same as 1.
    std::uint32_t times = 5;
    /// The time from the first to the last of them, for an endpoint that has accepted an upgrade.
    Duration after_accepting = std::chrono::minutes{10};
    /// The same for an endpoint that has not. A client may start together with its server.
    Duration before_accepting = std::chrono::minutes{1};

    /// Returns the values with which the first rejection is final.
    [[nodiscard]] static constexpr HttpPatience at_once() noexcept { return {1, {}, {}}; }
};

/// Returns the verdict on a status as the answer to a call; docs/reference/http-verdicts.md has the
/// table.
[[nodiscard]] constexpr HttpVerdict verdict_of_status(int status) noexcept {
    using enum HttpVerdict::Host;
    constexpr HttpVerdict passes{true, failure, true}, unserved{false, failure, true};
    switch (status) {
        case 421:  // Misdirected Request: another connection may serve it
        case 425:  // Too Early
        case 429:  // Too Many Requests: the server is well
            return {true, neutral, true};
        case 407:  // Proxy Authentication Required: our credentials for the proxy
        case 511:  // Network Authentication Required: the network of this side
            return {false, neutral, false};
        case 501:  // Not Implemented
        case 505:  // HTTP Version Not Supported
        case 506:  // Variant Also Negotiates
        case 508:  // Loop Detected
        case 510:  // Not Extended
            return {};
        case 408:
        case 500:
        case 502:
        case 503:
        case 504:
        case 527:  // Railgun Error (Cloudflare)
        case 529:  // Site is overloaded (Qualys, Anthropic)
        case 530:  // Site is frozen (Pantheon), Origin DNS Error (Cloudflare)
            return passes;
        default:
            // 520 to 524 are those of Cloudflare for an origin that does not serve.
            if (status >= 520 && status <= 524) return passes;
            // RFC 9110, section 15: a status that is not known is like the x00 of its class, and
            // one outside of 100 to 599 is like a 5xx.
            return status >= 100 && status < 500 ? HttpVerdict{} : unserved;
    }
}
/// Returns whether a status is a definite rejection of an upgrade if it lasts.
[[nodiscard]] constexpr bool is_rejection(int status) noexcept {
    const bool is_of_page = status >= 200 && status < 300;
    return status >= 100 && status < 500 && !is_of_page && status != 401 && status != 403 &&
           status != 407 && !verdict_of_status(status).repeats;
}
/// Returns the verdict on a status as the answer to an upgrade. Connections are restored, so each
/// status may pass, except rejected credentials, and a rejection that is settled.
[[nodiscard]] constexpr HttpVerdict verdict_of_upgrade(int status, bool settled) noexcept {
    if (status == 401 || status == 407) return verdict_of_status(status);
    if (is_rejection(status) && settled) return {};
    const HttpVerdict usual = verdict_of_status(status);
    if (usual.host == HttpVerdict::Host::neutral)
        return {true, HttpVerdict::Host::neutral, usual.pays};
    return {true, HttpVerdict::Host::failure, true};
}

/// Returns the verdict on the end of a request that has no whole response.
[[nodiscard]] inline HttpVerdict verdict_of_error(const Failure& why) noexcept {
    using enum HttpVerdict::Host;
    constexpr HttpVerdict unserved{false, failure, true}, ours{false, neutral, false};
    // A failure of this side neither counts for the host nor costs anything.
    const bool is_ours = detail::peer_evidence(why) == PeerEvidence::nothing;
    const std::error_code error = why.error();
    // A server with a wrong certificate serves no client. A binding may have a more exact reason.
    if (error == http_error_condition(HttpErrc::certificate_rejected)) return unserved;
    if (error == http_error_condition(HttpErrc::client_failed)) return ours;
    switch (why.cause) {
        case Cause::permanent:
        case Cause::forbidden:
        case Cause::unauthorized:
            return is_ours ? ours : HttpVerdict{};
        case Cause::protocol:
            return unserved;
        default:
            return {true, is_ours ? neutral : failure, !is_ours};
    }
}
/// Returns the verdict on a failure of a call, if nothing else is known of its response.
[[nodiscard]] inline HttpVerdict verdict_of(const Failure& failure) noexcept {
    return failure.category == &http_category() ? detail::verdict_of_status(failure.code)
                                                : detail::verdict_of_error(failure);
}

}  // namespace detail

inline HttpResponse::Verdict HttpResponse::verdict(const HttpRequest& request,
                                                   const History& history) const noexcept {
    if (!complete()) return detail::verdict_of_error(failure);
    if (request.headers.find("Upgrade") != nullptr) {
        return detail::verdict_of_upgrade(status, history.settled);
    }
    if (status >= 200 && status < 300) return {};
    Verdict verdict = detail::verdict_of_status(status);
    // The pace of the host protects it already.
    constexpr int too_many_requests = 429;
    const bool is_paced = detail::requested_wait(*this, std::chrono::seconds{1}) > Duration{};
    if (status == too_many_requests && is_paced) verdict.pays = false;
    return verdict;
}

namespace detail {

/// The definite rejections of one endpoint.
///
/// Thread safety: a plain value.
class HttpRejections {
public:
    /// Takes the status of an answer to a request that was sent at `now`, and returns the history
    /// with it.
    HttpHistory take(int status, bool accepts, Instant now, const HttpPatience& patience) noexcept {
        if (accepts) history_.accepted = true;
        if (accepts || !is_rejection(status)) {
            history_.rejections = 0;
            history_.lasting = {};
            history_.settled = false;
            return history_;
        }
        if (history_.rejections == 0) first_ = now;
        if (history_.rejections != ~std::uint32_t{0}) ++history_.rejections;
        history_.lasting = elapsed(first_, now);
        history_.settled = history_.rejections >= patience.times &&
                           history_.lasting >= (history_.accepted ? patience.after_accepting
                                                                  : patience.before_accepting);
        return history_;
    }

private:
    HttpHistory history_{};
    Instant first_ = always;
};

/// Returns the user's verdict, or else the default one.
[[nodiscard]] inline HttpVerdict verdict_by(const HttpResponse::Classify& classify,
                                            const HttpRequest& request,
                                            const HttpResponse& response,
                                            const HttpHistory& history) noexcept {
    std::optional<HttpVerdict> own;
#if defined(__cpp_exceptions)
    try {
        if (classify) own = classify(request, response, history);
    } catch (...) {
        own.reset();
    }
#else
    if (classify) own = classify(request, response, history);
#endif
    return own ? *own : response.verdict(request, history);
}

/// Returns the failure of a response with this verdict; no failure if the response is a success.
///
/// The cause follows the verdict. Unlike for http_failure, a status that is not repeated, and whose
/// server is well, has a final cause: 403 is `forbidden`, and 501 is `permanent`. One that is
/// repeated has none: an upgrade that 404 has rejected for the first time is `refused`.
[[nodiscard]] inline Failure failure_by(const HttpVerdict& verdict, const HttpResponse& response,
                                        Duration trusted_max) noexcept {
    Failure failure = http_failure(response, trusted_max);
    const bool is_whole = response.complete();
    if (failure.cause == Cause::none) {
        if (!verdict.repeats && verdict.host != HttpVerdict::Host::failure) return {};
        failure = {.cause = Cause::refused,
                   .origin = Failure::Origin::answered,
                   .code = response.status,
                   .category = &http_category(),
                   .retry_after = detail::requested_wait(response, trusted_max)};
    }
    const bool is_final = failure.cause == Cause::permanent || failure.cause == Cause::forbidden ||
                          failure.cause == Cause::unauthorized;
    if (verdict.repeats && is_final) failure.cause = Cause::refused;
    if (is_whole && !verdict.repeats && !is_final && verdict.host != HttpVerdict::Host::failure) {
        failure.cause = response.status == 403 ? Cause::forbidden : Cause::permanent;
    }
    return failure;
}

/// The type of the handle that keeps a request going.
template <class H>
using HttpHandleOf = decltype(std::declval<H&>().request(std::declval<HttpRequest>(),
                                                         std::declval<Completion<HttpResponse>>()));
template <class H>
concept TakesHttpRequests = requires { typename HttpHandleOf<H>; };
template <class H>
concept HasHttpHandle = TakesHttpRequests<H> && std::is_class_v<HttpHandleOf<H>> &&
                        std::is_nothrow_move_constructible_v<HttpHandleOf<H>> &&
                        std::is_nothrow_destructible_v<HttpHandleOf<H>>;
}  // namespace detail

/// The requirements for an HTTP client that does not block, such as curl::Http.
///
///     auto handle = http.request(HttpRequest{.url = "https://example.com/"},
///                                [](auto response) noexcept {
///                                    if (response) use(*response);
///                                });
///
/// Required: `request(HttpRequest, Completion<HttpResponse>)`, which starts a request and returns a
/// handle on it at once. The answer is a response, which may report a failure. It may come at any
/// time, also inside request().
///
/// - Destroying the handle aborts the request, also inside on_chunk. on_chunk is not called any
///   more, and the Completion answers "no" if its answer is still wanted. After the answer,
///   destroying the handle has no effect.
/// - Destroying the client aborts the requests in progress: their Completions answer "no". Handles
///   may outlive the client.
/// - Limits, the deadline and on_chunk hold as HttpRequest specifies. A request that cannot be sent
///   as it is fails with HttpErrc::bad_url or bad_text, and is never sent in another form. A
///   HEAD with a body fails with bad_text.
/// - `HttpResponse::sent` is false only if no byte of the request has left.
///
/// Thread safety: request(), handles and on_chunk belong to one thread, the one that runs the
/// caller; Completions are answered on any thread.
/// Throws:        request() may throw std::bad_alloc; then no request was started.
template <class H>
concept HttpLike = detail::TakesHttpRequests<H> && detail::HasHttpHandle<H>;

namespace explain {

/// Names every requirement of HttpLike that H lacks.
template <class H>
consteval bool http_like() {
    static_assert(detail::TakesHttpRequests<H>,
                  "HttpLike: H needs 'request(belay::HttpRequest, "
                  "belay::Completion<belay::HttpResponse>)', see docs/reference/http.md");
    if constexpr (detail::TakesHttpRequests<H>) {
        static_assert(detail::HasHttpHandle<H>,
                      "HttpLike: request() must return a handle: a class that moves without "
                      "throwing, and whose destructor aborts the request");
    }
    return HttpLike<H>;
}

}  // namespace explain

}}  // namespace belay
