// SPDX-License-Identifier: MIT
/// \file belay/link/part.hpp
/// part, Around, Wrapped, Slot: what decorators of transports are made of.
#pragma once

#include <cstddef>  // std::size_t
#include <new>      // placement new
#include <utility>  // std::forward

#include <belay/link/transport_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a decorator talks to the part inside it: the optional members, with their defaults.
namespace part {

/// Lets an event pass through a part.   Returns: false if the part kept it.
template <class M, class C>
[[nodiscard]] bool sift(C& c, Event<M>& event, Turn& turn) {
    if constexpr (detail::HasSift<C, M>) {
        return c.sift(event, turn);
    } else {
        return true;
    }
}

/// Lets an event rise from the part inside a decorator to the decorator itself. An event of depth 0
/// was sent by the decorator's own link, so the part inside never sees it.
/// Returns: false if it was kept below.
template <class M, class C>
[[nodiscard]] bool rise(C& child, Event<M>& event, Turn& turn) {
    if constexpr (detail::HasSift<C, M>) {
        if (event.depth == 0) return true;
        --event.depth;
        const bool rose = child.sift(event, turn);
        ++event.depth;
        return rose;
    } else {
        return true;
    }
}

/// `c.send`, on a lane if it has lanes.
template <class M, class C>
[[nodiscard]] SendResult send(C& c, Lane lane, const M& message) noexcept {
    if constexpr (detail::SendsOnLane<C, M>) {
        return c.send(lane, message);
    } else {
        return c.send(message);
    }
}

/// `c.deadline()`; `never` if it has none.
template <class C>
[[nodiscard]] Instant deadline(const C& c) noexcept {
    if constexpr (detail::HasTimer<C>) {
        return c.deadline();
    } else {
        return never;
    }
}

/// `c.advance(turn)`, if it is due.
template <class C>
void advance(C& c, Turn& turn) {
    if constexpr (detail::HasTimer<C>) {
        if (c.deadline() <= turn.now) c.advance(turn);
    }
}

/// `c.resume_reading()`, if it has that.
template <class C>
void resume_reading(C& c) noexcept {
    if constexpr (detail::HasResumeReading<C>) c.resume_reading();
}

/// `c.probe(turn, within)`, if it has that.
template <class C>
void probe(C& c, Turn& turn, Duration within) noexcept {
    if constexpr (detail::HasProbe<C>) c.probe(turn, within);
}

/// `c.limit_messages(bytes)`, if it has that.
template <class C>
void limit_messages(C& c, std::size_t bytes) noexcept {
    if constexpr (detail::HasLimitMessages<C>) c.limit_messages(bytes);
}

/// `c.limit_output(bytes)`, if it has that.
template <class C>
void limit_output(C& c, std::size_t bytes) noexcept {
    if constexpr (detail::HasLimitOutput<C>) c.limit_output(bytes);
}

/// Holds a part that can be neither copied nor moved, made in place by a function.
///
/// Not std::optional: emplacing through a conversion would call a greedy constructor of the user's
/// type instead.   Thread safety: distinct objects safe.
template <class T>
class Slot {
public:
    Slot() noexcept = default;
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() { reset(); }

    /// Builds what `make` returns, at its final address.   Pre: empty.
    template <class F>
    T& emplace_from(F&& make) {
        BELAY_PRECONDITION(!full_, "Slot::emplace_from: must be empty");
        T* const t = ::new (static_cast<void*>(storage_)) T(std::forward<F>(make)());
        full_ = true;
        return *t;
    }
    void reset() noexcept {
        if (!full_) return;
        full_ = false;
        std::launder(reinterpret_cast<T*>(storage_))->~T();
    }
    [[nodiscard]] T* get() noexcept {
        return full_ ? std::launder(reinterpret_cast<T*>(storage_)) : nullptr;
    }
    [[nodiscard]] const T* get() const noexcept {
        return full_ ? std::launder(reinterpret_cast<const T*>(storage_)) : nullptr;
    }

private:
    alignas(T) unsigned char storage_[sizeof(T)];
    bool full_ = false;
};

/// The base of a decorator's connection: everything it does not change goes to the part inside, and
/// a member that the part inside lacks is lacking here too.
template <class C, class M>
class Wrapped {
public:
    template <class F>
    explicit Wrapped(F&& make) : inner_(std::forward<F>(make)()) {}
    Wrapped(const Wrapped&) = delete;
    Wrapped& operator=(const Wrapped&) = delete;

    [[nodiscard]] SendResult send(Lane lane, const M& message) noexcept {
        return part::send<M>(inner_, lane, message);
    }
    void close(const Failure& why) noexcept
        requires detail::HasClose<C>
    {
        inner_.close(why);
    }
    void ping() noexcept
        requires detail::HasPing<C>
    {
        inner_.ping();
    }
    void probe(Turn& turn, Duration within) noexcept
        requires detail::HasProbe<C>
    {
        inner_.probe(turn, within);
    }
    void resume_reading() noexcept
        requires detail::HasResumeReading<C>
    {
        inner_.resume_reading();
    }
    void limit_messages(std::size_t bytes) noexcept
        requires detail::HasLimitMessages<C>
    {
        inner_.limit_messages(bytes);
    }
    void limit_output(std::size_t bytes) noexcept
        requires detail::HasLimitOutput<C>
    {
        inner_.limit_output(bytes);
    }
    [[nodiscard]] bool sift(Event<M>& event, Turn& turn) {
        return part::rise<M>(inner_, event, turn);
    }
    [[nodiscard]] Instant deadline() const noexcept { return part::deadline(inner_); }
    void advance(Turn& turn) { part::advance(inner_, turn); }

protected:
    ~Wrapped() = default;
    C inner_;
};

/// The base of a decorator of transports, which adds its own `open`.
template <class Transport>
class Around {
public:
    using message_type = typename Transport::message_type;

    [[nodiscard]] Transport& inner() noexcept { return inner_; }
    /// New credentials, on their way to a WithToken inside.
    template <class... A>
        requires requires(Transport& t, A&&... a) { t.credentials(std::forward<A>(a)...); }
    void credentials(A&&... values) {
        inner_.credentials(std::forward<A>(values)...);
    }

protected:
    explicit Around(Transport transport) : inner_{std::move(transport)} {}
    ~Around() = default;
    Around(Around&&) = default;
    Around(const Around&) = default;
    Around& operator=(Around&&) = default;
    Around& operator=(const Around&) = default;

    Transport inner_;
};

}  // namespace part

}}  // namespace belay
