// SPDX-License-Identifier: MIT
/// \file belay/http/detail/http_policy.hpp
/// The rules of the policy of an HttpCalls. HttpRepeat: which requests may be sent again.
/// HttpPace: when the next request to a host may be sent, after the host has asked for a wait.
/// HttpHosts: a budget and a breaker for each of a limited number of hosts.
#pragma once

#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::swap

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/answer.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/outcome.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/core/time_window.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_calls_options.hpp>
#include <belay/http/http_message.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

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

using HttpTrip = FailureRate<TimeWindow<>>;
using HttpBreaker = CircuitBreaker<SteadyClock, HttpTrip, OpenFor>;

template <class Object>
class HttpShared;

/// Whether the head of a success has arrived. It is the answer of the host, because a stream may
/// have no end.
class HttpBegun {
public:
    /// An attempt begins whose answer is for this rule, which stays at its place meanwhile.
    void expect_for(HttpShared<HttpBreaker>& rule) noexcept { rule_ = &rule; }
    void arrived(Turn turn) noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return has_arrived_; }

private:
    HttpShared<HttpBreaker>* rule_ = nullptr;
    bool has_arrived_ = false;
};

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
            // A Pipeline finds out later that the server had too little time.
            if (had_no_time(failure) && !had_no_time(n.failure)) continue;
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
    HttpBegun begun{};     ///< on_chunk has received a part of a response
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
    const int high = hex_value(text[1]);
    const int low = hex_value(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
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

/// The rate that a host accepts, learned from the times between two answers of 429.
///
/// The first rate is the mean of the last such cycle, its wait included. The host can sustain it.
/// It grows by a fifth each second. The next 429 shows by how much it was too high: by the excess
/// that has used up the burst which the host allows. From then on, it grows by 0.5 % each second.
/// After a minute without a 429 it grows fast again, until it limits nothing.
///
/// The model is a host that rejects all requests for 2 s after one too many, and restarts that time
/// at each request. There a CubicRate gets 60 to 80 % of what the host accepts. This rate gets 83
/// to 89 % in the first minute, and 92 to 94 % in five.
///
/// Rates are in thousandths per second, and computed with integers.
///
/// Thread safety: a plain value.
class HttpRate {
public:
    /// Returns the time between two requests; 0ns if nothing is limited.
    [[nodiscard]] Duration gap() const noexcept {
        constexpr std::uint64_t ns_milli = 1'000'000'000'000;
        return Duration{rate_ == 0 ? 0 : static_cast<Duration::rep>(ns_milli / rate_)};
    }
    /// The host has accepted a request.
    void accepted(Instant now) noexcept {
        constexpr Duration window = std::chrono::seconds{10};
        if (count_ == 0 && rate_ == 0) began_ = now;
        ++count_;
        if (rate_ != 0) return grow(now);
        // Without a limit, the mean is that of the last requests.
        if (elapsed(began_, now) > window) {
            count_ /= 2;
            began_ = after(began_, elapsed(began_, now) / 2);
        }
    }
    /// The host has had too many requests, and accepts none until an instant.
    void rejected(Instant now, Instant until) noexcept {
        if (count_ == 0 && rate_ != 0) {  // the wait was too short, and the rate is not known
            began_ = step_began_ = until;
            return;
        }
        if (count_ == 0 && rate_ == 0) began_ = now;
        const std::uint64_t mean = larger(rate_over(elapsed(began_, until)), rate_min);
        if (rate_ == 0 || mean < base_ / 2) {
            const std::uint64_t active = microseconds(elapsed(began_, now));
            const std::uint64_t sustained = mean * active / 1'000'000'000;
            burst_ = count_ > sustained + 1 ? count_ - sustained : 1;
            rate_ = mean;
            growth_ = fast;
        } else {
            // The burst is the excess over the host's rate r. A rate of q, reached by a growth of
            // g, has an excess of about x^2 / (2 g (r + 2 x / 3)), with x = q - r.
            const std::uint64_t gb = growth_ * burst_;
            const std::uint64_t excess = root(gb / 3 * (gb / 3) + 2 * gb * rate_) - gb / 3;
            const std::uint64_t host = rate_ > excess ? rate_ - excess : 0;
            rate_ = larger(mean, host * 98 / 100);
            growth_ = slow;
        }
        base_ = rate_;
        count_ = 0;
        began_ = step_began_ = until;
    }

private:
    static constexpr std::uint64_t fast = 200, slow = 5;  // thousandths per second
    static constexpr std::uint64_t rate_min = 1'000;
    static constexpr std::uint64_t rate_max = 10'000'000;
    static constexpr Duration step = std::chrono::milliseconds{500};
    static constexpr Duration calm = std::chrono::seconds{60};

    void grow(Instant now) noexcept {
        if (elapsed(began_, now) > calm) growth_ = fast;
        for (; elapsed(step_began_, now) >= step && rate_ != 0;
             step_began_ = after(step_began_, step)) {
            rate_ += larger(rate_ * growth_ / 2000, std::uint64_t{1});
            if (rate_ > rate_max) rate_ = count_ = 0;
        }
    }
    [[nodiscard]] static std::uint64_t microseconds(Duration time) noexcept {
        return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) / 1000 : 0;
    }
    [[nodiscard]] std::uint64_t rate_over(Duration time) const noexcept {
        return count_ * 1'000'000'000 / larger(microseconds(time), std::uint64_t{1});
    }
    [[nodiscard]] static std::uint64_t root(std::uint64_t value) noexcept {
        std::uint64_t low = 0, high = std::uint64_t{1} << 32U;
        while (high - low > 1) {
            const std::uint64_t middle = low + (high - low) / 2;
            (middle * middle <= value ? low : high) = middle;
        }
        return low;
    }

    Instant began_ = always;       // the cycle
    Instant step_began_ = always;  // of the growth
    std::uint64_t count_ = 0;      // accepted in this cycle
    std::uint64_t rate_ = 0;       // 0: no limit
    std::uint64_t base_ = 0;       // the rate at the begin of this cycle
    std::uint64_t burst_ = 1;      // what the host accepts above its rate
    std::uint64_t growth_ = fast;
};

/// The pace of one host. It limits nothing until the host asks for a wait by a Retry-After.
///
/// No request is sent during the wait. Then one goes first, and the others follow when it has its
/// answer, at the rate of an HttpRate.
///
/// Thread safety: a plain value.
class HttpPace {
public:
    /// Returns when the last wait that the host has asked for ends.
    [[nodiscard]] Instant resumes_at() const noexcept { return resumes_at_; }
    /// Returns when the next request may be sent.
    [[nodiscard]] Instant next(Instant now) const noexcept {
        const Instant at = larger(larger(next_, resumes_at_), now);
        // The first request after a wait has no answer yet.
        const bool is_probing = probe_ != nullptr && !probe_->begun;
        return is_probing ? larger(at, after(now, std::chrono::milliseconds{50})) : at;
    }
    /// Returns when the next request may be sent for a caller with this number in the line. It is
    /// an estimate, because the rate changes, and callers leave.
    [[nodiscard]] Instant next(Instant now, std::uint64_t number) const noexcept {
        const std::uint64_t ahead = number > left_ ? number - left_ : 0;
        return after(next(now), part::saturating_multiply(rate_.gap(), ahead));
    }
    /// Returns the number of a caller that begins to wait; leave() ends the wait.
    [[nodiscard]] std::uint64_t join() noexcept { return joined_++; }
    void leave() noexcept { ++left_; }
    [[nodiscard]] std::uint64_t last_number() const noexcept { return joined_; }

    /// A request of a call is sent; ended() follows.
    void begin(const HttpProgress& call, Instant now) noexcept {
        next_ = after(now, rate_.gap());
        if (std::exchange(is_first_, false)) probe_ = &call;
    }
    void ended(const HttpProgress& call) noexcept {
        if (probe_ == &call) probe_ = nullptr;
    }

    /// Takes the answer of the host to a request; `failure` has no cause for a success.
    void answered(const Failure& failure, Instant now) noexcept {
        constexpr int too_many_requests = 429, unavailable = 503;
        const bool learns = failure.code == too_many_requests;
        if (failure.retry_after > Duration::zero() && (learns || failure.code == unavailable)) {
            constexpr Duration most = std::chrono::hours{1};
            asked(smaller(failure.retry_after, most), learns, now);
        } else {
            rate_.accepted(now);
        }
    }
    /// Draws the delay of the first request after a wait, so that not all processes send theirs at
    /// the same instant.
    void spread(Turn& turn) noexcept {
        const auto most = static_cast<std::uint64_t>(std::exchange(spread_, Duration{}).count());
        if (most == 0) return;
        const Duration drawn{static_cast<Duration::rep>(uniform_upto(turn.bits, most))};
        next_ = larger(next_, after(resumes_at_, drawn));
    }

private:
    // `learns`: the host has had too many requests.
    void asked(Duration wait, bool learns, Instant now) noexcept {
        const Instant until = after(now, wait);
        const bool is_new = now >= resumes_at_;  // not the answer to a request under way
        if (is_new && learns) rate_.rejected(now, until);
        resumes_at_ = larger(resumes_at_, until);
        spread_ = wait / 8;
        is_first_ = true;
        probe_ = nullptr;
    }

    HttpRate rate_{};
    Instant resumes_at_ = always;
    Duration spread_{};      // the longest delay of the first request after it; 0: it is drawn
    Instant next_ = always;  // the next request, by the rate
    std::uint64_t joined_ = 0, left_ = 0;  // callers that have begun, and ended, to wait
    bool is_first_ = false;                // no request was sent since the wait
    const HttpProgress* probe_ = nullptr;  // the call that sent the first one
};

/// Holds the requests of one call back until the pace of its host allows them. It rejects a call
/// that would wait beyond its deadline, or longer than for a Retry-After of its own.
///
/// Thread safety: a plain value.
class HttpPaced {
public:
    static constexpr std::string_view name = "HttpPace";

    HttpPaced(HttpPace& pace, const HttpProgress& progress, Instant deadline,
              Duration wait_max) noexcept
        : pace_{&pace}, progress_{&progress}, deadline_{deadline}, wait_max_{wait_max} {}

    // A copy is the rule of another run.
    HttpPaced(const HttpPaced& other) noexcept
        : HttpPaced{*other.pace_, *other.progress_, other.deadline_, other.wait_max_} {}
    HttpPaced(HttpPaced&& other) noexcept
        : pace_{other.pace_},
          progress_{other.progress_},
          deadline_{other.deadline_},
          wait_max_{other.wait_max_},
          number_{std::exchange(other.number_, std::nullopt)} {}
    HttpPaced& operator=(HttpPaced other) noexcept {
        std::swap(pace_, other.pace_);
        std::swap(progress_, other.progress_);
        std::swap(deadline_, other.deadline_);
        std::swap(wait_max_, other.wait_max_);
        std::swap(number_, other.number_);
        return *this;
    }
    ~HttpPaced() { leave(); }

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        // Without a number, begin() takes one.
        return number_ || now < pace_->resumes_at() ? waits(now) : Advice::go();
    }
    [[nodiscard]] Advice begin(Turn& turn) noexcept {
        if (turn.now >= pace_->resumes_at()) pace_->spread(turn);
        if (pace_->next(turn.now) > turn.now) {
            const Advice advice = waits(turn.now);
            if (!number_ && advice.verb != Advice::Verb::stop) number_ = pace_->join();
            return advice;
        }
        leave();
        pace_->begin(*progress_, turn.now);
        return Advice::go();
    }
    [[nodiscard]] Advice failed(const Failure&, Turn& turn) noexcept {
        abandoned(turn);
        return Advice::go();
    }
    void succeeded(Turn& turn) noexcept { abandoned(turn); }
    void abandoned(Turn&) noexcept {
        leave();
        pace_->ended(*progress_);
    }

private:
    void leave() noexcept {
        if (std::exchange(number_, std::nullopt)) pace_->leave();
    }
    [[nodiscard]] Advice waits(Instant now) const noexcept {
        if (pace_->next(now) <= now) return Advice::go();
        const Instant at = pace_->next(now, number_ ? *number_ : pace_->last_number());
        if (at > deadline_ || elapsed(now, at) > wait_max_) return {Advice::Verb::stop, at, name};
        // Earlier than the estimate, because the line may be faster.
        return Advice::suspend(larger(pace_->next(now), after(now, elapsed(now, at) / 2)));
    }

    HttpPace* pace_;
    const HttpProgress* progress_;
    Instant deadline_;
    Duration wait_max_;
    std::optional<std::uint64_t> number_{};  // while it waits
};

/// The breaker or the budget of a host in the policy of one call. It takes the verdict on the
/// response instead of the failure's cause. An unanswered attempt, as HttpRepeat has decided before
/// it, is a failure.
template <class Object>
class HttpShared : public Shared<Object> {
public:
    HttpShared(const Shared<Object>& rule, HttpProgress& progress) noexcept
        : Shared<Object>{rule}, progress_{&progress} {}

    [[nodiscard]] Advice begin(Turn& turn) noexcept {
        if constexpr (!pays) progress_->begun.expect_for(*this);
        return Shared<Object>::begin(turn);
    }
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (progress_->stopped) {
            spend(turn);
            return Advice::go();
        }
        const HttpVerdict verdict = progress_->verdict_of(failure);
        const HttpVerdict::Host host = !pays          ? verdict.host
                                       : verdict.pays ? HttpVerdict::Host::failure
                                       : verdict.host == HttpVerdict::Host::neutral
                                           ? HttpVerdict::Host::neutral
                                           : HttpVerdict::Host::success;
        return Shared<Object>::failed(detail::as_evidence(failure, host), turn);
    }
    void spend(Turn& turn) noexcept {
        if (progress_->unanswered) {
            const Failure unanswered = Failure::from(HttpErrc::timed_out);
            static_cast<void>(Shared<Object>::failed(unanswered, turn));
        } else if constexpr (requires(Shared<Object>& rule) { rule.spend(turn); }) {
            Shared<Object>::spend(turn);
        }
    }

private:
    static constexpr bool pays = part::ReservableLike<Object>;

    HttpProgress* progress_;
};

inline void HttpBegun::arrived(Turn turn) noexcept {
    if (!std::exchange(has_arrived_, true) && rule_ != nullptr) rule_->succeeded(turn);
}

/// The state that all calls to one host share.
struct HttpHost {
    HttpHost(const HttpCallsOptions& options, bool is_one_host)
        : budget{options.budget},
          breaker{trip(options), OpenFor{options.breaker_open}},
          is_one{is_one_host} {
        if (!is_one || options.breaker.percent == 0) breaker.set_mode(BreakerMode::disabled);
    }

    /// Returns the policy of one call. It refers to this host, `progress` and `counters`.
    [[nodiscard]] auto policy(const HttpCallsOptions& options, HttpProgress& progress,
                              HttpCallsCounters& counters, Instant deadline = never) {
        return Policy{HttpPaced{pace, progress, deadline, options.retry_after_max},
                      Backoff{FullJitter{}, Cap{options.wait_max}, options.first_wait},
                      SpreadHint::plus_percent(25),
                      HttpRepeat{progress, options, counters},
                      HttpShared{Shared{breaker, FailFast{}}, progress},
                      HttpShared{Shared{budget}, progress},
                      MaxAttempts{options.attempts_max}};
    }

    TokenBudget budget;
    HttpBreaker breaker;
    HttpPace pace{};
    HttpRejections rejections{};
    bool is_one;  // else all hosts without a place, which say nothing about each other
    std::size_t under_way = 0;
    std::uint64_t last_use = 0;
    Instant used_at = always;  // when a call last began or ended

private:
    [[nodiscard]] static HttpTrip trip(const HttpCallsOptions& options) noexcept {
        part::RateThreshold threshold = options.breaker;
        if (threshold.percent == 0) threshold.percent = 100;  // the breaker is disabled
        return FailureRate{TimeWindow<>{options.breaker_window}, threshold};
    }
};

/// The hosts that calls have used last.
///
/// A new host beyond the limit replaces one without calls under way: the one whose last call began
/// first. A host whose breaker is not closed is replaced only if there is no other. The exception
/// is a host without a call that began or ended within a window of the breaker. If each host has
/// calls under way, the new one shares a budget with all others that find no place. It has no
/// breaker and no pace.
///
/// Complexity: O(log n) for a known host, O(n) for a new one beyond the limit.
class HttpHosts {
public:
    explicit HttpHosts(const HttpCallsOptions& options) : options_{options} {}

    /// Returns the host of a URL, which stays valid while a call to it is under way.
    /// Throws: std::bad_alloc.
    [[nodiscard]] HttpHost& host_of(std::string_view url, Instant now,
                                    HttpCallsCounters& counters) {
        std::string origin = detail::origin_of(url);
        auto found = hosts_.find(origin);
        if (found == hosts_.end()) {
            if (origin.empty() || !make_place(now, counters)) {
                ++counters.hosts_overflow;
                return overflow_;
            }
            found = hosts_.try_emplace(std::move(origin), options_, true).first;
            counters.hosts = hosts_.size();
        }
        found->second.last_use = ++uses_;
        found->second.used_at = now;
        return found->second;
    }
    /// Returns the host of an origin, or null if it has no place.
    [[nodiscard]] const HttpHost* find(std::string_view url) const {
        const auto found = hosts_.find(detail::origin_of(url));
        return found == hosts_.end() ? nullptr : &found->second;
    }
    /// Returns how many hosts have a breaker in this state.   Complexity: O(n).
    [[nodiscard]] std::size_t count(BreakerState state, Instant now) const {
        std::size_t count = 0;
        for (const auto& [origin, host] : hosts_) {
            if (host.breaker.state(now) == state) ++count;
        }
        return count;
    }

private:
    using Map = std::map<std::string, HttpHost, std::less<>>;

    /// Returns whether the breaker of a host is still needed. An open breaker closes only by calls,
    /// so without a limit of time, hosts that are gone for ever would fill all places.
    [[nodiscard]] bool needs_breaker(const HttpHost& host, Instant now) const {
        const Duration idle_max = detail::larger(options_.breaker_window, options_.breaker_open);
        return host.breaker.state(now) != BreakerState::closed &&
               elapsed(host.used_at, now) <= idle_max;
    }
    bool make_place(Instant now, HttpCallsCounters& counters) {
        if (hosts_.size() < options_.hosts_max) return true;
        auto victim = hosts_.end();
        bool victim_is_needed = false;
        for (auto at = hosts_.begin(); at != hosts_.end(); ++at) {
            if (at->second.under_way != 0) continue;
            const bool is_needed = needs_breaker(at->second, now);
            const bool better =
                victim == hosts_.end() || (victim_is_needed && !is_needed) ||
                (victim_is_needed == is_needed && at->second.last_use < victim->second.last_use);
            if (!better) continue;
            victim = at;
            victim_is_needed = is_needed;
        }
        if (victim == hosts_.end()) return false;
        hosts_.erase(victim);
        ++counters.hosts_evicted;
        return true;
    }

    const HttpCallsOptions& options_;
    Map hosts_{};
    HttpHost overflow_{options_, false};
    std::uint64_t uses_ = 0;
};

}}}  // namespace belay::detail
