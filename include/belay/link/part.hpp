// SPDX-License-Identifier: MIT
/// \file belay/link/part.hpp
/// part::Around, part::Wrapped, part::Slot: the building blocks of decorators of transports.
/// endpoints_of: between how many endpoints a transport chooses.
#pragma once

#include <cstddef>  // std::size_t
#include <new>      // placement new
#include <utility>  // std::forward

#include <belay/core/detail/scope_exit.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/transport_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Helpers for decorators, which call the connection inside with a default for each optional
/// member.
namespace part {

/// Passes an event through a connection.   Returns: false if the connection kept it.
template <class M, class C>
[[nodiscard]] bool sift(C& c, Event<M>& event, Turn& turn) {
    if constexpr (detail::HasSift<C, M>) {
        return c.sift(event, turn);
    } else {
        return true;
    }
}

/// Passes an event from the connection inside a decorator up to the decorator. An event of depth 0
/// was sent by the decorator's own link, so the connection inside never sees it.
/// Returns: false if the connection inside kept it.
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

/// Calls `c.send`, with the lane if `c` has lanes.
template <class M, class C>
[[nodiscard]] SendResult send(C& c, Lane lane, const M& message) noexcept {
    if constexpr (detail::SendsOnLane<C, M>) {
        return c.send(lane, message);
    } else {
        return c.send(message);
    }
}

/// Returns `c.deadline()`, or `never` if `c` has none.
template <class C>
[[nodiscard]] Instant deadline(const C& c) noexcept {
    if constexpr (detail::HasTimer<C>) {
        return c.deadline();
    } else {
        return never;
    }
}

/// Calls `c.advance(turn)` if it is due.
template <class C>
void advance(C& c, Turn& turn) {
    if constexpr (detail::HasTimer<C>) {
        if (c.deadline() <= turn.now) c.advance(turn);
    }
}

/// Calls `c.resume_reading()` if `c` has that member.
template <class C>
void resume_reading(C& c) noexcept {
    if constexpr (detail::HasResumeReading<C>) c.resume_reading();
}

/// Calls `c.probe(turn, within)` if `c` has that member.
template <class C>
void probe(C& c, Turn& turn, Duration within) noexcept {
    if constexpr (detail::HasProbe<C>) c.probe(turn, within);
}

/// Calls `c.limit_messages(bytes)` if `c` has that member.
template <class C>
void limit_messages(C& c, std::size_t bytes) noexcept {
    if constexpr (detail::HasLimitMessages<C>) c.limit_messages(bytes);
}

/// Calls `c.limit_output(bytes)` if `c` has that member.
template <class C>
void limit_output(C& c, std::size_t bytes) noexcept {
    if constexpr (detail::HasLimitOutput<C>) c.limit_output(bytes);
}

/// Holds an object that can be neither copied nor moved, built in place by a function.
///
/// It is not a std::optional, because emplacing through a conversion would call a greedy
/// constructor of the user's type instead.   Thread safety: distinct objects safe.
template <class T>
class Slot {
public:
    Slot() noexcept = default;
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() { reset(); }

    /// Builds the object that `make` returns, at its final address.   Pre: empty.
    template <class F>
    T& emplace_from(F&& make) {
        BELAY_PRECONDITION(!full_, "Slot::emplace_from: the slot must be empty");
        T* const t = ::new (static_cast<void*>(storage_)) T(std::forward<F>(make)());
        full_ = true;
        return *t;
    }
    /// Destroys the value, if there is one.
    void reset() noexcept {
        if (!full_) return;
        full_ = false;
        std::launder(reinterpret_cast<T*>(storage_))->~T();
    }
    /// Returns the value, or null.
    [[nodiscard]] T* get() noexcept {
        return full_ ? std::launder(reinterpret_cast<T*>(storage_)) : nullptr;
    }
    /// The same for an rvalue.
    [[nodiscard]] const T* get() const noexcept {
        return full_ ? std::launder(reinterpret_cast<const T*>(storage_)) : nullptr;
    }

private:
    alignas(T) unsigned char storage_[sizeof(T)];
    bool full_ = false;
};

/// The base class of a decorator's connection.
///
/// It forwards every call that the decorator does not change to the connection inside. An optional
/// member that the connection inside lacks is also missing here.
///
/// Models: ConnectionLike.
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

/// The base class of a decorator of transports, which adds its own `open`.
template <class Transport>
class Around {
public:
    using message_type = typename Transport::message_type;

    /// Returns the transport inside.
    [[nodiscard]] Transport& inner() noexcept { return inner_; }
    /// Passes new credentials on to a WithToken inside.
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

namespace detail {

/// Builds the connection that `open` returns, in its slot.
///
/// If `open` throws, the attempt ends like any other: `link` is closed with LinkErrc::open_threw.
/// Throws: what `open` throws.
template <class M, class Connection, class Open>
Connection& open_connection(const Link<M>& link, part::Slot<Connection>& slot, Open&& open) {
    ScopeExit end{[&] { link.closed(failure_of(LinkErrc::open_threw)); }};
    Connection& connection = slot.emplace_from(open);
    end.release();
    return connection;
}

/// Returns between how many endpoints a transport chooses.
template <class Transport>
[[nodiscard]] std::size_t endpoints_of(Transport& transport) noexcept {
    if constexpr (requires { transport.endpoints().size(); }) {
        return transport.endpoints().size();
    } else if constexpr (requires { transport.inner(); }) {
        return endpoints_of(transport.inner());
    } else {
        return 1;
    }
}

}  // namespace detail

}}  // namespace belay
