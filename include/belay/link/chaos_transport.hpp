// SPDX-License-Identifier: MIT
/// \file belay/link/chaos_transport.hpp
/// chaos::Transport: injects faults into connections on purpose; a decorator of a transport.
#pragma once

#include <atomic>       // std::atomic
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint32_t, std::uint64_t
#include <deque>        // std::deque
#include <string_view>  // std::string_view
#include <tuple>        // std::apply, std::tuple
#include <type_traits>  // std::is_base_of_v
#include <utility>      // std::move

#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/random.hpp>
#include <belay/link/detail/wrapped_later.hpp>
#include <belay/link/link_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace chaos {

/// The rates and the forms of faults that are injected into connections. Without rates, nothing is
/// injected.
struct LinkOptions {
    /// The number of a thousand attempts to connect that fail without reaching the peer.
    std::uint32_t failures_per_thousand = 0;
    /// The number of a thousand received messages at which the connection ends instead.
    std::uint32_t drops_per_thousand = 0;
    /// The number of a thousand attempts that begin later, and of received messages that arrive
    /// later, by `delay`. A message waits for those before it, so the order stays.
    std::uint32_t delays_per_thousand = 0;
    /// How long a delayed message waits. >= 0ns.
    Duration delay{};

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (failures_per_thousand > 1000 || drops_per_thousand > 1000 ||
            delays_per_thousand > 1000) {
            return "chaos::LinkOptions: a rate must be <= 1000";
        }
        if (delay.count() < 0) return "chaos::LinkOptions: the delay must be >= 0ns";
        return {};
    }
};

/// Counts injected faults of connections.   Thread safety: a plain value.
struct LinkCounters {
    std::uint64_t failures = 0;  ///< attempts that failed on purpose
    std::uint64_t drops = 0;     ///< connections that ended on purpose
    std::uint64_t delays = 0;    ///< attempts and messages that came later on purpose

    friend constexpr bool operator==(const LinkCounters&, const LinkCounters&) noexcept = default;
};

/// One injected fault, for the observer of a chaos::Transport.
struct LinkInjected {
    /// The faults of links.
    enum class Kind : std::uint8_t { failure, drop, delay };
    /// Which fault it is.
    Kind kind;
};

/// Decides which connections get a fault, for all transports that refer to it. It is off at first.
///
///     chaos::LinkFaults faults{{.drops_per_thousand = 5}, Seed{7}};
///     Supervisor link{chaos::Transport{tcp, faults}, policy};
///     faults.switch_on();                       // on any thread, while connections are open
///
/// The same seed gives the same faults in the order in which attempts and messages ask. It cannot
/// be copied or moved, and must outlive its transports.
///
/// Thread safety: any thread.   Blocks: while on, for a few instructions of another caller.
class LinkFaults {
public:
    constexpr LinkFaults() noexcept : LinkFaults{LinkOptions{}} {}
    /// Pre: options.check() is empty.
    constexpr explicit LinkFaults(LinkOptions options, Seed seed = Seed{1}) noexcept
        : state_{State{options, Random{seed}, {}}} {
        BELAY_OPTION(options.check().empty(), "chaos::LinkFaults: see chaos::LinkOptions::check()");
    }

    /// Injects faults from now on.
    void switch_on() noexcept { on_.store(true, std::memory_order_relaxed); }
    /// Injects nothing from now on.
    void switch_off() noexcept { on_.store(false, std::memory_order_relaxed); }
    /// Returns whether faults are injected now.
    [[nodiscard]] bool is_on() const noexcept { return on_.load(std::memory_order_relaxed); }

    /// Replaces the options for what follows.   Pre: options.check() is empty.
    void set(LinkOptions options) noexcept {
        BELAY_OPTION(options.check().empty(), "chaos::LinkFaults: see chaos::LinkOptions::check()");
        state_.with([&options](State& s) { s.options = options; });
    }
    /// Returns the faults since it was made.
    [[nodiscard]] LinkCounters counters() const noexcept {
        return state_.with([](const State& s) { return s.counters; });
    }

    /// The faults of one attempt or message. At most one of them is true.
    struct Decision {
        /// Whether the attempt to connect fails.
        bool fails = false;
        /// Whether the message is dropped.
        bool drops = false;
        /// Whether the message is delayed.
        bool delays = false;
        /// How long the delay is.
        Duration delay{};
    };
    /// Draws the faults of one attempt to connect, or of one received message, and counts them.
    Decision draw(bool attempt) noexcept {
        return state_.with([attempt](State& s) {
            const auto hits = [&s](std::uint32_t per_thousand) {
                return per_thousand != 0 && uniform_upto(s.bits, 999) < per_thousand;
            };
            Decision decision{.delay = s.options.delay};
            decision.fails = attempt && hits(s.options.failures_per_thousand);
            decision.drops = !attempt && hits(s.options.drops_per_thousand);
            decision.delays =
                !decision.fails && !decision.drops && hits(s.options.delays_per_thousand);
            s.counters.failures += decision.fails ? 1U : 0U;
            s.counters.drops += decision.drops ? 1U : 0U;
            s.counters.delays += decision.delays ? 1U : 0U;
            return decision;
        });
    }

private:
    struct State {
        LinkOptions options;
        Random bits;
        LinkCounters counters;
    };

    std::atomic<bool> on_{false};
    belay::detail::Guarded<State> state_;
};

/// A transport whose connections fail, end or are slow on purpose, as its LinkFaults decide.
///
/// Put it around the innermost transport, so that a Heartbeat and a Validated around it see the
/// faults. A failed attempt and a dropped connection end with LinkErrc::injected, so the status of
/// the Supervisor differs from that of a real fault. An observer of the transport is notified of
/// each fault by `on_injected(const chaos::LinkInjected&)`, on the home thread, before it takes
/// effect.
///
/// Messages that wait are lost if their connection ends, as on a real network. At most 1,024 wait:
/// if there are more, the delays of all end. Messages that are sent, and answers to pings, are not
/// delayed. While it is off, it costs one load and one branch in addition to what each decorator
/// costs.
///
/// Models:        TransportLike.
/// Thread safety: as the transport inside; the LinkFaults serve any thread.
template <class Inside, class Observer = NoObserver>
class Transport : public part::Around<Inside> {
public:
    using message_type = typename Inside::message_type;
    /// The most received messages that wait in one connection.
    static constexpr std::size_t held_max = 1024;

private:
    template <class... A>
    using Opened = decltype(std::declval<Inside&>().open(std::declval<const Link<message_type>&>(),
                                                         std::declval<const A&>()...));

public:
    /// A connection; `A` are the types that a surrounding Endpoints or WithToken passes on.
    /// Models: ConnectionLike.
    template <class... A>
    class Connection : public belay::detail::WrappedLater<Opened<A...>, message_type> {
        using Inner = Opened<A...>;
        using Base = belay::detail::WrappedLater<Inner, message_type>;
        using Base::inner_, Base::own_;

    public:
        Connection(Transport& owner, const Link<message_type>& own, const A&... rest)
            : Base{own}, owner_{owner}, rest_{rest...} {
            if (owner.faults_->is_on()) [[unlikely]] {
                const LinkFaults::Decision decision = owner.decide(true);
                if (decision.fails) {
                    own_.closed(failure_of(LinkErrc::injected));
                    return;
                }
                if (decision.delays) {
                    wait_ = decision.delay;
                    open_at_ = always;  // the time is known in the next turn
                    own_.wake();
                    return;
                }
            }
            open_now();
        }
        /// Destroys the connection inside first, because that may refer to what it was opened with.
        ~Connection() { inner_.reset(); }

        void close(const Failure& why) noexcept
            requires belay::detail::HasClose<Inner>
        {
            if (Inner* const c = inner_.get()) {
                c->close(why);
            } else {
                open_at_ = never;
                own_.closed(why);
            }
        }
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (event.depth == 0) {
                return event.kind != part::EventKind::note || take_note(event, turn.now);
            }
            if (!this->rise(event, turn)) return false;
            if (event.kind != part::EventKind::received) return true;
            if (held_.empty() && !owner_.faults_->is_on()) [[likely]]
                return true;
            return passes(event, turn.now);
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const Inner* const c = inner_.get();
            if (c == nullptr) return open_at_;
            const Instant inside = part::deadline(*c);
            if (noting_ || held_.empty()) return inside;
            return inside < held_.front().due ? inside : held_.front().due;
        }
        void advance(Turn& turn) {
            if (Inner* const c = inner_.get()) {
                part::advance(*c, turn);
                note_if_due(turn.now);
            } else if (open_at_ == always) {
                open_at_ = after(turn.now, wait_);
            } else if (open_at_ <= turn.now) {
                open_at_ = never;
                open_now();
            }
        }

    private:
        struct Held {
            message_type message;
            Lane lane;
            Instant due;
        };

        // One note at a time, because a crowded mailbox merges equal ones.
        void note_if_due(Instant now) {
            if (noting_ || held_.empty() || held_.front().due > now) return;
            own_.note(0);
            noting_ = true;
        }

        // Decides on a received message. A message never overtakes one that waits.
        [[nodiscard]] bool passes(part::Event<message_type>& event, Instant now) {
            LinkFaults::Decision decision;
            if (owner_.faults_->is_on()) decision = owner_.decide(false);
            if (decision.drops) {
                event.message.reset();
                event.kind = part::EventKind::closed;
                event.failure = failure_of(LinkErrc::injected);
                return true;
            }
            if (!decision.delays && held_.empty()) return true;
            Instant due = decision.delays ? after(now, decision.delay) : now;
            if (held_.size() >= held_max) {
                due = now;
                for (Held& held : held_) held.due = now;
            }
            held_.push_back({std::move(*event.message), event.lane, due});
            return false;
        }
        // Makes the note the oldest message, whose time has come. The next one that is due follows.
        [[nodiscard]] bool take_note(part::Event<message_type>& event, Instant now) {
            Held& oldest = held_.front();
            event.kind = part::EventKind::received;
            event.lane = oldest.lane;
            event.proof = true;
            event.message.emplace(std::move(oldest.message));
            held_.pop_front();
            noting_ = false;
            note_if_due(now);
            return true;
        }
        void open_now() {
            Base::open_inner([&] {
                return std::apply(
                    [&](const A&... rest) { return owner_.inner_.open(own_.child(), rest...); },
                    rest_);
            });
        }

        Transport& owner_;
        std::tuple<A...> rest_;
        Duration wait_{};
        Instant open_at_ = never;
        std::deque<Held> held_{};
        bool noting_ = false;  // a note is under way
    };

    Transport(Inside transport, LinkFaults& faults, Observer observer = {})
        : part::Around<Inside>{std::move(transport)},
          faults_{&faults},
          observer_{std::move(observer)} {
        static_assert(std::is_base_of_v<NoObserver, Observer> || reports,
                      "chaos::Transport: the observer needs 'on_injected(const "
                      "belay::chaos::LinkInjected&)'");
    }

    /// Opens a connection. `rest` is what a surrounding Endpoints or WithToken passes on.
    template <class... A>
    [[nodiscard]] Connection<A...> open(const Link<message_type>& link, const A&... rest) {
        return {*this, link, rest...};
    }

private:
    static constexpr bool reports =
        requires(Observer& observer, const LinkInjected& fault) { observer.on_injected(fault); };

    LinkFaults::Decision decide(bool attempt) {
        const LinkFaults::Decision decision = faults_->draw(attempt);
        if constexpr (reports) {
            using Kind = LinkInjected::Kind;
            if (decision.fails) observer_.on_injected(LinkInjected{Kind::failure});
            if (decision.drops) observer_.on_injected(LinkInjected{Kind::drop});
            if (decision.delays) observer_.on_injected(LinkInjected{Kind::delay});
        }
        return decision;
    }

    LinkFaults* faults_;
    [[no_unique_address]] Observer observer_;
};

}}}  // namespace belay::chaos
