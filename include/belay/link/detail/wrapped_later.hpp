// SPDX-License-Identifier: MIT
/// \file belay/link/detail/wrapped_later.hpp
/// WrappedLater: the base class of a decorator's connection that opens the one inside later.
#pragma once

#include <cstddef>      // std::size_t
#include <type_traits>  // std::conditional_t
#include <utility>      // std::forward

#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The base class of a decorator's connection that opens the connection inside later.
///
/// Until then it sends nothing, and keeps limits for the connection inside. The decorator adds
/// `close`, `sift`, `deadline` and `advance`.
template <class C, class M>
class WrappedLater {
public:
    explicit WrappedLater(const Link<M>& own) : own_{own} {}

    [[nodiscard]] SendResult send(Lane lane, const M& message) noexcept {
        C* const c = inner_.get();
        return c != nullptr ? part::send<M>(*c, lane, message) : SendResult::down;
    }
    void ping() noexcept
        requires HasPing<C>
    {
        if (C* const c = inner_.get()) c->ping();
    }
    void probe(Turn& turn, Duration within) noexcept
        requires HasProbe<C>
    {
        if (C* const c = inner_.get()) c->probe(turn, within);
    }
    void resume_reading() noexcept
        requires HasResumeReading<C>
    {
        if (C* const c = inner_.get()) c->resume_reading();
    }
    void limit_messages(std::size_t bytes) noexcept
        requires HasLimitMessages<C>
    {
        limits_.message_bytes_max = bytes;
        if (C* const c = inner_.get()) c->limit_messages(bytes);
    }
    void limit_output(std::size_t bytes) noexcept
        requires HasLimitOutput<C>
    {
        limits_.output_bytes_max = bytes;
        if (C* const c = inner_.get()) c->limit_output(bytes);
    }

protected:
    ~WrappedLater() = default;

    /// Opens the connection inside.   Throws: what `open` throws; the attempt then ends.
    template <class F>
    void open_inner(F&& open) {
        C& inner = open_connection(own_, inner_, std::forward<F>(open));
        if constexpr (is_limited) {
            // Without a limit, the connection keeps its own.
            if (limits_.message_bytes_max != no_limit) {
                part::limit_messages(inner, limits_.message_bytes_max);
            }
            if (limits_.output_bytes_max != no_limit) {
                part::limit_output(inner, limits_.output_bytes_max);
            }
        }
    }
    /// Returns: false if there is no connection inside, or a decorator in it kept the event.
    [[nodiscard]] bool rise(part::Event<M>& event, Turn& turn) {
        C* const c = inner_.get();
        return c != nullptr && part::rise<M>(*c, event, turn);
    }

    Link<M> own_;
    part::Slot<C> inner_;

private:
    static constexpr std::size_t no_limit = ~std::size_t{0};
    struct Limits {
        std::size_t message_bytes_max = no_limit;
        std::size_t output_bytes_max = no_limit;
    };
    struct NoLimits {};
    static constexpr bool is_limited = HasLimitMessages<C> || HasLimitOutput<C>;

    [[no_unique_address]] std::conditional_t<is_limited, Limits, NoLimits> limits_;
};

}}}  // namespace belay::detail
