// SPDX-License-Identifier: MIT
/// \file belay/link/bundle.hpp
/// Bundle: several transports as one, whose connections open and close together.
#pragma once

#include <array>        // std::array
#include <bit>          // std::bit_width
#include <tuple>        // std::tuple
#include <type_traits>  // std::is_same_v
#include <utility>      // std::index_sequence

#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Returns how many bits of the lane a transport uses: 0 unless it is, or wraps, a bundle.
template <class T>
[[nodiscard]] consteval unsigned lane_bits_of() {
    if constexpr (requires { T::lane_bits; }) {
        return T::lane_bits;
    } else if constexpr (requires(T& t) { t.inner(); }) {
        return lane_bits_of<std::remove_reference_t<decltype(std::declval<T&>().inner())>>();
    } else {
        return 0;
    }
}

template <std::size_t I, class C>
struct BundleLeaf {
    template <class F>
    explicit BundleLeaf(F&& make) : connection(std::forward<F>(make)()) {}
    C connection;
};

}  // namespace detail

/// A transport made of several transports.
///
/// Its connection is open when all connections inside are open, and closed when one of them is
/// closed. A graceful close ends when all have ended. Its peers count as alive when each connection
/// with a Heartbeat has given evidence, or, if there is no Heartbeat, when one connection has.
///
/// The transport at index i carries lane i, also inside decorators. In nested bundles, the lowest
/// bits of the lane are the index in the outermost bundle. Connections open in order and are
/// destroyed in reverse order.
///
/// Models:        TransportLike.
/// Thread safety: as the transports inside.
/// Source:        Erlang/OTP supervisors, one_for_all.
template <class... Ts>
class Bundle {
    static_assert(sizeof...(Ts) > 0, "Bundle: pass at least one transport");
    static_assert((explain::transport_like<Ts>() && ...));

    template <std::size_t I>
    using At = std::tuple_element_t<I, std::tuple<Ts...>>;

public:
    using message_type = typename At<0>::message_type;
    static_assert((std::is_same_v<typename Ts::message_type, message_type> && ...),
                  "Bundle: all transports must have one message_type");

    /// Returns the number of transports.
    static constexpr std::size_t size = sizeof...(Ts);
    /// The bits of a lane that choose one of its transports.
    static constexpr unsigned own_bits = static_cast<unsigned>(std::bit_width(size - 1));
    /// The bits of a lane that this and all bundles inside use.
    static constexpr unsigned lane_bits = own_bits + [] {
        unsigned most = 0;
        ((most = most < detail::lane_bits_of<Ts>() ? detail::lane_bits_of<Ts>() : most), ...);
        return most;
    }();
    static_assert(
        lane_bits <= 16,
        "Bundle: the lanes of all transports must fit into 16 bits; use fewer transports");

private:
    template <class Is>
    class Connections;

    template <std::size_t... Is>
    class Connections<std::index_sequence<Is...>>
        : detail::BundleLeaf<Is, part::ConnectionOf<At<Is>>>... {
        template <std::size_t I>
        using Leaf = detail::BundleLeaf<I, part::ConnectionOf<At<I>>>;
        using M = message_type;
        static constexpr bool any_close = (detail::HasClose<part::ConnectionOf<At<Is>>> || ...);
        static constexpr bool all_ping = (detail::HasPing<part::ConnectionOf<At<Is>>> && ...);
        static constexpr bool any_probe = (detail::HasProbe<part::ConnectionOf<At<Is>>> || ...);
        static constexpr bool any_resume =
            (detail::HasResumeReading<part::ConnectionOf<At<Is>>> || ...);
        static constexpr bool any_limit =
            (detail::HasLimitMessages<part::ConnectionOf<At<Is>>> || ...);
        static constexpr bool any_limit_output =
            (detail::HasLimitOutput<part::ConnectionOf<At<Is>>> || ...);

    public:
        Connections(Bundle& owner, const Link<M>& own)
            : Leaf<Is>{
                  [&] { return std::get<Is>(owner.parts_).open(own.child(Is, own_bits)); }}... {}
        Connections(const Connections&) = delete;
        Connections& operator=(const Connections&) = delete;

        [[nodiscard]] SendResult send(Lane lane, const M& message) noexcept {
            SendResult result = SendResult::down;
            with(index_of(lane), [&](auto& c) {
                result = part::send<M>(c, static_cast<Lane>(lane >> own_bits), message);
            });
            return result;
        }

        [[nodiscard]] bool sift(part::Event<M>& event, Turn& turn) {
            if (event.depth == 0) return true;
            const Lane lane = event.lane;
            const std::size_t i = index_of(lane);
            event.lane = static_cast<Lane>(lane >> own_bits);
            bool rose = false;
            with(i, [&](auto& c) { rose = part::rise<M>(c, event, turn); });
            event.lane = lane;
            if (!rose) return false;
            const bool opens = event.kind == part::EventKind::opened;
            proved_[i] = proved_[i] || event.proof;
            if (event.proof || opens) event.proof = proved();
            if (opens) return all_of(open_, i);
            // A graceful close ends with the last connection; otherwise the first that fails ends
            // all.
            if (event.kind == part::EventKind::closed && closing_) return all_of(closed_, i);
            return true;
        }

        void close(const Failure& why) noexcept
            requires any_close
        {
            closing_ = true;
            (close_one<Is>(why), ...);
        }
        void ping() noexcept
            requires all_ping
        {
            (leaf<Is>().ping(), ...);
        }
        void probe(Turn& turn, Duration within) noexcept
            requires any_probe
        {
            (part::probe(leaf<Is>(), turn, within), ...);
        }
        void resume_reading() noexcept
            requires any_resume
        {
            (part::resume_reading(leaf<Is>()), ...);
        }
        void limit_messages(std::size_t bytes) noexcept
            requires any_limit
        {
            (part::limit_messages(leaf<Is>(), bytes), ...);
        }
        void limit_output(std::size_t bytes) noexcept
            requires any_limit_output
        {
            (part::limit_output(leaf<Is>(), bytes), ...);
        }
        [[nodiscard]] Instant deadline() const noexcept {
            Instant first = never;
            ((first = earlier(first, part::deadline(leaf<Is>()))), ...);
            return first;
        }
        void advance(Turn& turn) { (part::advance(leaf<Is>(), turn), ...); }

    private:
        template <std::size_t I>
        auto& leaf() noexcept {
            return static_cast<Leaf<I>&>(*this).connection;
        }
        template <std::size_t I>
        const auto& leaf() const noexcept {
            return static_cast<const Leaf<I>&>(*this).connection;
        }
        template <class F>
        void with(std::size_t i, F&& f) {
            static_cast<void>(((i == Is ? (f(leaf<Is>()), true) : false) || ...));
        }
        template <std::size_t I>
        void close_one(const Failure& why) noexcept {
            if constexpr (detail::HasClose<part::ConnectionOf<At<I>>>) {
                leaf<I>().close(why);
            } else {
                closed_[I] = true;
            }
        }
        /// Returns whether the peers have proved that they are alive.
        [[nodiscard]] bool proved() const noexcept {
            if constexpr (any_probe) {
                return ((proved_[Is] || !detail::HasProbe<part::ConnectionOf<At<Is>>>)&&...);
            } else {
                return (proved_[Is] || ...);
            }
        }
        static constexpr std::size_t index_of(Lane lane) noexcept {
            return lane & ((1U << own_bits) - 1U);
        }
        static constexpr Instant earlier(Instant a, Instant b) noexcept { return b < a ? b : a; }
        static bool all_of(std::array<bool, size>& flags, std::size_t i) noexcept {
            flags[i] = true;
            for (const bool flag : flags) {
                if (!flag) return false;
            }
            return true;
        }

        std::array<bool, size> open_{};
        std::array<bool, size> proved_{};
        std::array<bool, size> closed_{};
        bool closing_ = false;
    };

public:
    /// All its connections as one.   Models: ConnectionLike.
    using Connection = Connections<std::index_sequence_for<Ts...>>;

    explicit Bundle(Ts... transports) : parts_{std::move(transports)...} {}

    [[nodiscard]] Connection open(const Link<message_type>& link) {
        return Connection{*this, link};
    }

    /// Returns the transport at index I.
    template <std::size_t I>
    [[nodiscard]] At<I>& part() noexcept {
        return std::get<I>(parts_);
    }

private:
    std::tuple<Ts...> parts_;
};

}}  // namespace belay
