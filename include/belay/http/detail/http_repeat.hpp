// SPDX-License-Identifier: MIT
/// \file belay/http/detail/http_repeat.hpp
/// Decides which HTTP requests may be sent again.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/call/hedge.hpp>
#include <belay/call/outcome.hpp>
#include <belay/core/random.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_calls_options.hpp>
#include <belay/http/http_message.hpp>
#include <belay/http/http_verdict.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns whether a server may receive the request twice and do its work once. This is so if the
/// method is idempotent (RFC 9110, section 9.2.2), or if the request has an Idempotency-Key.
/// Methods differ by case.
[[nodiscard]] inline bool is_repeatable(const HttpRequest& request) noexcept {
    for (const std::string_view method : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}) {
        if (request.method == method) return true;
    }
    const std::string* const key = request.headers.find("Idempotency-Key");
    return key != nullptr && !key->empty();
}

/// The facts about the requests of one call that a rule needs.
struct HttpProgress {
    /// Notes the verdict on a failed response.
    void note(const Failure& failure, const HttpVerdict& verdict) noexcept {
        noted[1] = noted[0];
        noted[0] = {failure, verdict};
    }
    /// Returns the verdict on a failure of the last attempt, which has two responses at most.
    [[nodiscard]] HttpVerdict verdict_of(const Failure& failure) const noexcept {
        for (const Noted& n : noted) {
            // A Hedge changes the wait of its failure.
            const bool is_same = n.failure.category == failure.category &&
                                 n.failure.code == failure.code && n.failure.cause == failure.cause;
            if (is_same && failure.cause != Cause::none) return n.verdict;
        }
        return detail::verdict_of(failure);
    }

    struct Noted {
        Failure failure{};
        HttpVerdict verdict{};
    };
    Noted noted[2] = {};  ///< the last one first
    bool repeatable = false;
    bool was_cut = false;  ///< a request took as long as its limit
    bool sent = true;      ///< the server may have seen the last request
    bool begun = false;    ///< on_chunk has received a part of a response
    std::uint32_t attempts = 0;
    // The requests of the attempt that began last:
    bool answered = false;         ///< one of them had its whole response
    Instant silent_since = never;  ///< when the first was sent that had none when its caller left
    bool timed_out = false;        ///< one of its callers has left at its own deadline
    bool unanswered = false;       ///< the caller left, which counts as a failure of the host
    bool stopped = false;          ///< a stop has ended one of them
    Instant heard_at = always;     ///< when a part of a response has arrived

    [[nodiscard]] bool is_silent_for(Duration limit, Instant now) const noexcept {
        return !begun && !answered && silent_since != never && limit != forever &&
               elapsed(silent_since, now) >= limit;
    }
};

/// Stops a call that must not send its request again, or would have to wait too long for it. It
/// also decides whether an attempt whose caller gave up was unanswered, for the rules after it.
///
/// Thread safety: a plain value.
class HttpRepeat {
public:
    static constexpr std::string_view name = "HttpCalls";

    HttpRepeat(HttpProgress& progress, const HttpCallsOptions& options,
               HttpCallsCounters& counters) noexcept
        : progress_{&progress},
          counters_{&counters},
          retry_after_max_{options.retry_after_max},
          unanswered_after_{options.unanswered_after} {}

    void begin(Turn&) noexcept {
        ++progress_->attempts;
        progress_->answered = progress_->timed_out = progress_->unanswered = false;
        progress_->silent_since = never;
    }
    // The attempt was made, and its caller has left.
    void spend(Turn& turn) noexcept {
        const bool is_early = !progress_->is_silent_for(unanswered_after_, turn.now);
        if (!is_early) ++counters_->unanswered;
        // A call may leave a shared request at its own deadline, before that of the request.
        const bool is_late = progress_->timed_out && progress_->is_silent_for({}, turn.now);
        progress_->unanswered = is_late || !is_early;
    }
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        const HttpProgress& p = *progress_;
        if (p.stopped) {
            spend(turn);
            return Advice::go();
        }
        const bool harmless = p.repeatable || !p.sent;
        if (p.begun || !harmless || !p.verdict_of(failure).repeats) return Advice::stop();
        return failure.retry_after > retry_after_max_ ? Advice::stop() : Advice::go();
    }

private:
    HttpProgress* progress_;
    HttpCallsCounters* counters_;
    Duration retry_after_max_;
    Duration unanswered_after_;
};

/// The choice of a hedged request: any success, and each failure that no other request corrects.
struct HttpDefinite {
    const HttpProgress& progress;
};
template <>
struct HedgeChosen<HttpDefinite> {
    HttpDefinite of;

    [[nodiscard]] bool is_definite(const Failure& failure) const noexcept {
        return !of.progress.verdict_of(failure).repeats;
    }
    [[nodiscard]] static constexpr bool chooses(const HttpResponse&) noexcept { return true; }
};

/// Returns a failure that is for a shared object what the verdict is for the host.
[[nodiscard]] inline Failure as_evidence(const Failure& failure,
                                         HttpVerdict::Host verdict) noexcept {
    switch (verdict) {
        case HttpVerdict::Host::failure:
            return peer_evidence(failure) == PeerEvidence::unwell
                       ? failure
                       : Failure{.cause = Cause::lost, .retry_after = failure.retry_after};
        case HttpVerdict::Host::success:
            return {.cause = Cause::permanent};
        case HttpVerdict::Host::neutral:
            break;
    }
    return {.cause = Cause::planned};
}

/// Returns whether calls that send equal requests at the same time may share one response.
[[nodiscard]] inline bool is_shareable(const HttpRequest& request) noexcept {
    return (request.method == "GET" || request.method == "HEAD") && request.body.empty() &&
           !request.on_chunk;
}
/// Returns whether a call whose shared request failed may send one of its own: the failure may
/// pass, and neither the server nor the breaker wants a wait.
[[nodiscard]] inline bool may_go_on(const belay::Outcome<HttpResponse>& outcome,
                                    bool repeats) noexcept {
    return !outcome && outcome.last() != nullptr && outcome.retry_after() <= Duration::zero() &&
           repeats;
}
/// Returns a text that two requests share only if they are equal.   Throws: std::bad_alloc.
[[nodiscard]] inline std::string flight_key(const HttpRequest& request) {
    std::string key;
    const auto add = [&](std::string_view text) {
        (key += std::to_string(text.size()) += ':') += text;
    };
    add(request.method);
    add(request.url);
    for (const HttpHeaders::Field& field : request.headers) {
        add(field.name);
        add(field.value);
    }
    key += std::to_string(request.deadline.count()) + ' ' + std::to_string(request.body_bytes_max) +
           (request.redirects ? " r" : "") + (request.fresh_connection ? " f" : "");
    return key;
}

/// Returns the byte that "%XX" at the front of a text stands for; -1 if the text begins otherwise.
[[nodiscard]] constexpr int encoded_at(std::string_view text) noexcept {
    if (text.size() < 3 || text[0] != '%') return -1;
    int byte = 0;
    for (const char digit : text.substr(1, 2)) {
        constexpr std::string_view digits = "0123456789abcdef";
        const bool is_upper = digit >= 'A' && digit <= 'F';
        const std::size_t value = digits.find(is_upper ? static_cast<char>(digit + 32) : digit);
        if (value == digits.npos) return -1;
        byte = byte * 16 + static_cast<int>(value);
    }
    return byte;
}
/// Returns whether no host has this character, encoded or not: a control character, or a forbidden
/// host code point of the URL Standard.
[[nodiscard]] constexpr bool is_forbidden_in_host(char c) noexcept {
    constexpr std::string_view forbidden = " #/:<>?@[\\]^|\x7F";
    return static_cast<unsigned char>(c) < ' ' || forbidden.find(c) != forbidden.npos;
}
/// Returns the normal form of a host (RFC 3986, section 6.2.2): in lower case, with nothing encoded
/// that need not be, and without the dot that ends a full name. It is empty if there is no such
/// host.
///
/// A single label keeps its dot, without which a resolver may look for it in its search domains.
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string normal_host(std::string_view host) {
    const bool is_address = host.starts_with('[') && host.ends_with(']');
    std::string normal;
    for (std::size_t i = 0; i < host.size(); ++i) {
        const int encoded = detail::encoded_at(host.substr(i));
        char c = encoded < 0 ? host[i] : static_cast<char>(encoded);
        if (!is_address && detail::is_forbidden_in_host(c)) return {};
        if (encoded >= 0x80 || (encoded >= 0 && detail::is_unreserved(c))) {
            i += 2;
        } else {
            c = host[i];
        }
        normal += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (normal.find_first_not_of('.') == normal.npos) return {};
    const std::size_t dot = normal.find('.');
    if (normal.back() == '.' && normal[normal.size() - 2] != '.' && dot != normal.size() - 1) {
        normal.pop_back();
    }
    return normal;
}

/// Returns the scheme, host and port of a URL in their normal form, without a usual port.
///
/// The text is empty if no client sends the URL. Then the scheme is another one, there is no host,
/// one longer than any name or with a character that no host has, or there are credentials.
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string origin_of(std::string_view url) {
    constexpr std::size_t origin_bytes_max = 300;
    const std::size_t scheme = url.find("://");
    if (scheme == url.npos) return {};
    const bool is_https = detail::is_same_name(url.substr(0, scheme), "https");
    if (!is_https && !detail::is_same_name(url.substr(0, scheme), "http")) return {};
    std::string_view host = url.substr(scheme + 3);
    host = host.substr(0, host.find_first_of("/?#\\"));
    if (host.size() > origin_bytes_max || !detail::is_one_word(host)) return {};
    if (host.find('@') != host.npos) return {};
    std::string_view port;
    const std::size_t colon = host.rfind(':');
    if (colon != host.npos && host.find(']', colon) == host.npos) {
        port = host.substr(colon + 1);
        host = host.substr(0, colon);
        while (port.size() > 1 && port.front() == '0') port.remove_prefix(1);
    }
    const std::string name = detail::normal_host(host);
    if (name.empty()) return {};
    std::string origin = (is_https ? "https://" : "http://") + name;
    if (!port.empty() && port != (is_https ? "443" : "80")) (origin += ':') += port;
    return origin;
}

}}}  // namespace belay::detail
