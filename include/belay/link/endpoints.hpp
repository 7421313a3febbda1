// SPDX-License-Identifier: MIT
/// \file belay/link/endpoints.hpp
/// Endpoints: tries several addresses of one service, one after the other.
#pragma once

#include <concepts>          // std::copyable, std::equality_comparable
#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint8_t
#include <initializer_list>  // std::initializer_list
#include <system_error>      // std::error_code, std::make_error_code
#include <type_traits>       // std::remove_reference_t
#include <utility>           // std::exchange, std::move, std::swap
#include <vector>            // std::vector

#include <belay/core/failure.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Returns whether a failure of this cause ends a link to one endpoint: it is not tried again.
[[nodiscard]] constexpr bool is_final(Cause cause) noexcept {
    return cause == Cause::permanent || cause == Cause::forbidden || cause == Cause::unauthorized;
}

/// Decides whether a link whose attempt failed finally at one endpoint tries another one.
///
/// Thread safety: distinct objects safe.
class FinalFailures {
public:
    /// The place of an endpoint that is not in the list any more.
    static constexpr std::size_t unlisted = ~std::size_t{0};

    /// Throws: std::bad_alloc.
    explicit FinalFailures(std::size_t endpoints) : has_failed_(endpoints) {}

    /// Returns the same for a new list. It keeps how often the credentials were rejected, because
    /// the new endpoints get the same ones.   Throws: std::bad_alloc.
    [[nodiscard]] FinalFailures with_list(std::size_t endpoints) const {
        FinalFailures fresh{endpoints};
        fresh.rejections_ = rejections_;
        fresh.has_ended_ = has_ended_;
        return fresh;
    }

    /// Makes ready for an attempt at an endpoint. If `anew`, or if the last final failure has ended
    /// the link, it forgets all failures.
    void begin(std::size_t place, bool anew) noexcept {
        if (anew || has_ended_) {
            has_failed_.assign(has_failed_.size(), false);
            failed_ = 0;
            rejected_at_ = unlisted;
            rejections_ = 0;
            has_ended_ = false;
        }
        if (has_failed_[place]) --failed_;
        has_failed_[place] = false;
    }
    /// Notes that the attempt at an endpoint, or at one that is `unlisted`, has failed finally.
    ///
    /// Returns whether the link tries another endpoint. If not, all of them have failed finally. Or
    /// another endpoint, or this one for the third time, has rejected the credentials: all
    /// endpoints get the same ones, and many rejections could lock the user out.
    [[nodiscard]] bool has_alternative(std::size_t place, Cause cause) noexcept {
        constexpr unsigned rejections_max = 3;
        if (place != unlisted) {
            if (!has_failed_[place]) ++failed_;
            has_failed_[place] = true;
        }
        has_ended_ = failed_ == has_failed_.size();
        if (cause == Cause::unauthorized) {
            if (rejected_at_ != unlisted && rejected_at_ != place) has_ended_ = true;
            if (++rejections_ == rejections_max) has_ended_ = true;
            rejected_at_ = place;
        }
        return !has_ended_;
    }

private:
    std::vector<bool> has_failed_;  // whether the last attempt at each endpoint failed finally
    std::size_t failed_ = 0;        // how many of them
    std::size_t rejected_at_ = unlisted;  // the endpoint that rejected the credentials
    unsigned rejections_ = 0;             // how often any endpoint did
    bool has_ended_ = false;              // no other one was tried after the last final failure
};

/// A decorator whose `open` passes on what it gets. An `open` that is no template uses the endpoint
/// itself, for example to open a tunnel to it.
template <class T>
concept PassesOn = requires(T& t) { t.inner(); } && !requires { &T::open; };

/// Whether a transport, or the one inside its decorators, has `open(link, more...)`.
template <class T, class... A>
[[nodiscard]] consteval bool opens_inside() {
    if constexpr (PassesOn<T>) {
        return opens_inside<std::remove_reference_t<decltype(std::declval<T&>().inner())>, A...>();
    } else {
        return OpensWith<T, A...>;
    }
}

/// The connection of `open(link, endpoint, more...)`, or of `open(link, more...)`.
template <bool passes_endpoint, class T, class Endpoint, class... A>
struct OpenedInside {
    using type = decltype(std::declval<T&>().open(
        std::declval<const Link<typename T::message_type>&>(), std::declval<const Endpoint&>(),
        std::declval<const A&>()...));
};
template <class T, class Endpoint, class... A>
struct OpenedInside<false, T, Endpoint, A...> {
    using type = decltype(std::declval<T&>().open(
        std::declval<const Link<typename T::message_type>&>(), std::declval<const A&>()...));
};
}  // namespace detail

/// Options of an Endpoints.
struct EndpointsOptions {
    /// The order in which it tries its list.
    enum Order : std::uint8_t {
        listed,   ///< the order of the list: the first is preferred
        shuffled  ///< an order drawn once from the supervisor's seed, so that clients spread over
                  ///< the list
    };

    /// The order in which the endpoints are dialled.
    Order order = listed;
};

/// A transport that tries another endpoint of a list after each failure.
///
/// It opens the transport inside with `open(link, endpoint)`.
///
///     Endpoints{posix::Tcp{loop}, {a, b, c}, {.order = EndpointsOptions::shuffled}}
///
/// Endpoints chooses the place, and the policy chooses the time. Each try is an attempt of the
/// policy, with the wait that the policy advises, also between two endpoints of one round. A
/// failure is an end that the policy counts as one, or that a Fleet withdraws because it suspects
/// the network. All services of a fleet may have the same endpoint. The list starts again at its
/// first endpoint after a stable connection, after a start, and while all attempts so far were
/// abandoned. A live connection is never left for a better endpoint.
///
/// A final failure (`permanent`, `forbidden`, `unauthorized`) of one endpoint does not end the link
/// while another endpoint may accept it. docs/how-to/several-endpoints.md gives the conditions.
/// For a breaker, a final failure is a success of the peer. With a WithToken, two successive
/// answers 403 count as one rejection.
///
/// With a WithToken, inside or around it, the call is `open(link, endpoint, token)`.
///
/// In a Bundle, it moves to the next endpoint if its own connection failed. If another part of the
/// bundle may have failed instead, it moves with a probability of one half. Two lists that always
/// moved together would never try all pairs.
///
/// Models:        TransportLike.
/// Thread safety: as the transport inside.
template <class Transport, class Endpoint>
class Endpoints : public part::Around<Transport> {
    static_assert(std::copyable<Endpoint>, "Endpoints: an endpoint must be a copyable value");

public:
    using message_type = typename Transport::message_type;

private:
    // If the transport takes no endpoint, the connection is that of a call without it: then Opened
    // reports the mistake, and nothing else is an error.
    template <class... A>
    static constexpr bool passes_endpoint =
        detail::OpensWith<Transport, Endpoint, A...> || !detail::opens_inside<Transport, A...>();

    template <class... A>
    struct Opened {
        using Inner =
            typename detail::OpenedInside<passes_endpoint<A...>, Transport, Endpoint, A...>::type;
        using Base = part::Wrapped<Inner, message_type>;

        // After the types, so that an error here is the only one. A WithToken inside adds a token.
        static_assert(detail::opens_inside<Transport, Endpoint, A...>() ||
                          detail::opens_inside<Transport, Endpoint, A..., detail::AnyArgument>() ||
                          !detail::opens_inside<Transport, A...>(),
                      "Endpoints: the transport inside has an endpoint of its own; write "
                      "posix::Tcp{loop} without an endpoint, and a Heartbeat around the Endpoints: "
                      "Heartbeat{Endpoints{posix::Tcp{loop}, {a, b}}, options}; "
                      "see docs/how-to/several-endpoints.md");
        static_assert(
            detail::OpensWith<Transport, Endpoint, A...> || detail::opens_inside<Transport, A...>(),
            "Endpoints: the transport needs 'open(Link<message_type>, const Endpoint&)' of "
            "the listed places, such as posix::Endpoint{host, port}; inside a WithToken "
            "also the token as third argument");
    };

public:
    /// The connection to one endpoint; `A` are the types that a surrounding WithToken passes on.
    /// Models: ConnectionLike.
    template <class... A>
    class Connection : public Opened<A...>::Base {
        using Base = typename Opened<A...>::Base;

    public:
        template <class F>
        Connection(Endpoints& owner, F&& make) : Base{std::forward<F>(make)}, owner_{owner} {}

        void close(const Failure& why) noexcept
            requires detail::HasClose<typename Opened<A...>::Inner>
        {
            closed_here_ = true;
            Base::close(why);
        }
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            // The end of a graceful close is no failure of this endpoint. An event of depth 0 comes
            // from outside.
            if (event.kind == part::EventKind::closed && event.depth != 0 && !closed_here_) {
                owner_.note_end(event);
            }
            return true;
        }

    private:
        Endpoints& owner_;
        bool closed_here_ = false;
    };

    /// Pre: the list is not empty; use make() if it may be empty.
    Endpoints(Transport transport, std::vector<Endpoint> list, EndpointsOptions options = {})
        : part::Around<Transport>{std::move(transport)},
          list_{std::move(list)},
          penalties_{std::vector<std::uint8_t>(list_.size() + 1)},
          finals_{list_.size()},
          shuffles_{options.order == EndpointsOptions::shuffled},
          shuffle_{shuffles_} {
        BELAY_OPTION(!list_.empty(), "Endpoints: the list must not be empty");
    }
    Endpoints(Transport transport, std::initializer_list<Endpoint> list,
              EndpointsOptions options = {})
        : Endpoints{std::move(transport), std::vector<Endpoint>{list}, options} {}

    /// Makes an Endpoints from a list that may be empty.
    ///
    /// Errors: std::errc::invalid_argument if the list is empty.   Throws: std::bad_alloc.
    [[nodiscard]] static Result<Endpoints> make(Transport transport, std::vector<Endpoint> list,
                                                EndpointsOptions options = {}) {
        if (list.empty()) return std::make_error_code(std::errc::invalid_argument);
        return Endpoints{std::move(transport), std::move(list), options};
    }

    /// Replaces the list, for example by one that a server has sent, or after a new lookup. An open
    /// connection stays open. The next attempt begins with the first endpoint of the new list, in
    /// the order of the options. An endpoint that was in the old list, too, still gets as few pings
    /// as it has asked for. If endpoints cannot be compared by ==, all get as few as the one that
    /// has asked most often. It forgets which endpoints have failed for good, but not how often the
    /// credentials were rejected.
    ///
    /// Errors: std::errc::invalid_argument if the list is empty; the old list is then kept.
    /// Throws: std::bad_alloc; likewise.
    /// Thread safety: home thread of the supervisor.
    [[nodiscard]] std::error_code replace(std::vector<Endpoint> list) {
        if (list.empty()) return std::make_error_code(std::errc::invalid_argument);
        detail::FinalFailures finals = finals_.with_list(list.size());
        carry_penalties(list);
        finals_ = std::move(finals);
        list_ = std::move(list);
        place_ = 0;
        shuffle_ = shuffles_;
        replaced_ = true;
        return {};
    }

    /// Opens a connection to the endpoint of this attempt.
    ///
    /// `rest` is what a surrounding WithToken passes on.   Throws: what the transport inside
    /// throws.
    template <class... A>
    [[nodiscard]] Connection<A...> open(const Link<message_type>& link, const A&... rest) {
        choose(link);
        return {*this, [&] {
                    if constexpr (passes_endpoint<A...>) {
                        return this->inner_.open(link.child(), list_[place_], rest...);
                    } else {
                        return this->inner_.open(link.child(), rest...);
                    }
                }};
    }

    /// Returns the endpoints in the order in which they are tried; the first attempt shuffles them.
    [[nodiscard]] const std::vector<Endpoint>& endpoints() const noexcept { return list_; }
    /// Returns the index in endpoints() that the last attempt used; 0 after replace().
    [[nodiscard]] std::size_t place() const noexcept { return place_; }
    /// Returns how often the endpoint of the last attempt has asked for fewer pings.
    /// For a Heartbeat around this object.
    [[nodiscard]] std::uint8_t* ping_penalties() noexcept {
        return &penalties_.counts[penalties_.used];
    }

private:
    /// How often the endpoints have asked for fewer pings.
    struct Penalties {
        std::vector<std::uint8_t> counts;  // of each place, and of one that is not listed
        std::size_t used = 0;              // the place of the last attempt's endpoint
    };

    /// The supervisor's counts, at the last attempt.
    struct Counts {
        std::uint32_t attempt = 0;  // its number
        std::uint32_t firsts = 0;   // first attempts
        std::uint32_t excused = 0;  // excused attempts
    };

    void choose(const Link<message_type>& link) {
        if (last_.attempt == 0) bits_ = link.bits();
        if (std::exchange(shuffle_, false)) shuffle();
        const detail::PublishedLink now = link.published();
        const std::uint32_t attempt = now.status.attempt;
        const bool is_excused =
            std::exchange(last_.excused, now.excused_attempts) != now.excused_attempts;
        const bool has_failed = (attempt > last_.attempt || is_excused) && last_.attempt != 0;
        // The attempt with number 1 may have ended in a surrounding WithToken, without a call of
        // open().
        const bool replaced = std::exchange(replaced_, false);
        const bool anew = std::exchange(last_.firsts, now.first_attempts) != now.first_attempts;
        if (anew || replaced) {
            place_ = 0;
        } else if (has_failed && is_to_blame(link)) {
            place_ = place_ + 1 < list_.size() ? place_ + 1 : 0;
        }
        finals_.begin(place_, anew);
        penalties_.used = place_;
        last_.attempt = attempt;
        ended_itself_ = false;
    }
    /// The connection to the endpoint of this attempt has ended, or could not be opened.
    void note_end(part::Event<message_type>& event) noexcept {
        ended_itself_ = true;
        if (event.withdrawn || !detail::is_final(event.failure.cause)) return;
        // After replace(), place_ is no longer the endpoint of this connection.
        const std::size_t place = replaced_ ? detail::FinalFailures::unlisted : place_;
        event.has_alternative = finals_.has_alternative(place, event.failure.cause);
    }
    /// Keeps the penalties of the endpoints that are also in `list`.   Throws: std::bad_alloc.
    void carry_penalties(const std::vector<Endpoint>& list) {
        Penalties kept{std::vector<std::uint8_t>(list.size() + 1)};
        if constexpr (std::equality_comparable<Endpoint>) kept.used = list.size();
        for (std::size_t i = 0; i < list.size(); ++i) {
            for (std::size_t old = 0; old < list_.size(); ++old) {
                if constexpr (std::equality_comparable<Endpoint>) {
                    if (list[i] != list_[old]) continue;
                    if (old == penalties_.used) kept.used = i;
                }
                kept.counts[i] = detail::larger(kept.counts[i], penalties_.counts[old]);
            }
        }
        penalties_ = std::move(kept);
    }
    [[nodiscard]] bool is_to_blame(const Link<message_type>& link) noexcept {
        return ended_itself_ || !link.in_bundle() || uniform_upto(bits_, 1) == 0;
    }
    /// Shuffles the list (Fisher-Yates).
    void shuffle() noexcept {
        for (std::size_t left = list_.size(); left > 1; --left) {
            const auto i = static_cast<std::size_t>(uniform_upto(bits_, left - 1));
            std::swap(list_[i], list_[left - 1]);
            std::swap(penalties_.counts[i], penalties_.counts[left - 1]);
        }
    }

    std::vector<Endpoint> list_;
    Penalties penalties_;
    detail::FinalFailures finals_;
    Random bits_;
    std::size_t place_ = 0;
    Counts last_;
    bool shuffles_;              // as the options say
    bool shuffle_;               // before the next attempt
    bool replaced_ = false;      // since the last attempt
    bool ended_itself_ = false;  // the last connection ended by itself, or could not be opened
};

}}  // namespace belay
