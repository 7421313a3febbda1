// SPDX-License-Identifier: MIT
/// \file belay/http/http_verdict.hpp
/// HttpResponse::verdict: the meaning of a response, or of its absence, for the next attempt.
#pragma once

#include <cstdint>     // std::uint8_t, std::uint32_t
#include <functional>  // std::function
#include <optional>    // std::optional

#include <belay/core/instant.hpp>
#include <belay/http/http_message.hpp>
#include <belay/policy/detail/causes.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}  // namespace detail

}}  // namespace belay
