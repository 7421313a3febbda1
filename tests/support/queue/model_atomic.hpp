// SPDX-License-Identifier: MIT
/// \file tests/support/queue/model_atomic.hpp
/// ModelAtomic, Tracked and TrackedOver: a std::atomic and a value for explore().
#pragma once

#include <compare>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <belay/queue/concurrent_rings.hpp>

#include "support/queue/explorer.hpp"

namespace belay_test {

/// A std::atomic for explore(). Outside of its threads it is a plain value.
template <class T>
class ModelAtomic {
public:
    ModelAtomic(T value = {}) : at_{e().add_location(static_cast<std::uint64_t>(value))} {}
    ModelAtomic(const ModelAtomic&) = delete;
    ModelAtomic& operator=(const ModelAtomic&) = delete;

    T load(std::memory_order o) const {
        return static_cast<T>(e().in_thread() ? e().load(at_, o) : e().latest(at_));
    }
    void store(T value, std::memory_order o) {
        if (!e().in_thread())
            e().latest(at_) = static_cast<std::uint64_t>(value);
        else
            e().store(at_, static_cast<std::uint64_t>(value), o);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order o,
                               std::memory_order failure) {
        const auto wanted = static_cast<std::uint64_t>(expected);
        return change(o, failure, expected, [&](std::uint64_t old, std::uint64_t& next) {
            next = static_cast<std::uint64_t>(desired);
            return old == wanted;
        });
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order o,
                                 std::memory_order failure) {
        // Spurious failure is not modelled.
        return compare_exchange_weak(expected, desired, o, failure);
    }
    T fetch_add(T n, std::memory_order o) {
        return fetch_change(o, [n](T was) { return static_cast<T>(was + n); });
    }
    T fetch_or(T bits, std::memory_order o) {
        return fetch_change(o, [bits](T was) { return static_cast<T>(was | bits); });
    }
    T fetch_sub(T n, std::memory_order o) { return fetch_add(static_cast<T>(-n), o); }
    void wait(T old, std::memory_order) const { e().wait(at_, static_cast<std::uint64_t>(old)); }
    void notify_one() { notify(false); }
    void notify_all() { notify(true); }

private:
    static Explorer& e() { return *Explorer::current; }
    void notify(bool all) {
        if (e().in_thread()) e().notify(at_, all);
    }
    template <class Change>
    T fetch_change(std::memory_order o, Change&& how) {
        T old{};
        change(o, o, old, [&](std::uint64_t was, std::uint64_t& next) {
            next = static_cast<std::uint64_t>(how(static_cast<T>(was)));
            return true;
        });
        return old;
    }
    template <class Change>
    bool change(std::memory_order o, std::memory_order failure, T& read, Change&& how) {
        Explorer::Exchanged result{e().latest(at_), false};
        if (e().in_thread()) {
            result = e().exchange(at_, o, failure, how);
        } else {
            std::uint64_t next = 0;
            result.done = how(result.old, next);
            if (result.done) e().latest(at_) = next;
        }
        read = static_cast<T>(result.old);
        return result.done;
    }

    std::size_t at_;
};

/// The mistake of a Faulty atomic.
enum class Fault { wakes_one, adds_nothing_by_load };

/// A ModelAtomic with one mistake, to show that the explorer finds it.
template <Fault fault>
struct Faulty {
    template <class T>
    class Atomic : public ModelAtomic<T> {
    public:
        using ModelAtomic<T>::ModelAtomic;
        T fetch_add(T n, std::memory_order o) {
            if (fault == Fault::adds_nothing_by_load && n == T{})
                return ModelAtomic<T>::load(std::memory_order_acquire);
            return ModelAtomic<T>::fetch_add(n, o);
        }
        void notify_all() {
            fault == Fault::wakes_one ? ModelAtomic<T>::notify_one() : ModelAtomic<T>::notify_all();
        }
    };
};

/// An acquire or a release of an access, and its place in the source.
struct Order {
    std::string file;
    int line;
    std::memory_order half;
    auto operator<=>(const Order&) const = default;
};

/// The orders with which OrderedAtomics were accessed, and the one that they leave out.
class Orders {
public:
    static inline std::set<Order> seen;
    static inline std::optional<Order> left_out;

    /// The rest of `order`, which an access in this line has, without the one that is left out.
    static std::memory_order rest_of(std::memory_order order, const char* file, int line) {
        const bool acquires = has(order, std::memory_order_acquire, file, line);
        const bool releases = has(order, std::memory_order_release, file, line);
        if (acquires) return releases ? std::memory_order_acq_rel : std::memory_order_acquire;
        return releases ? std::memory_order_release : std::memory_order_relaxed;
    }

private:
    static bool has(std::memory_order order, std::memory_order half, const char* file, int line) {
        if (order != half && order != std::memory_order_acq_rel) return false;
        const Order asked{file, line, half};
        seen.insert(asked);
        return asked != left_out;
    }
};

/// A ModelAtomic without the order that Orders::left_out names.
template <class T>
class OrderedAtomic : public ModelAtomic<T> {
    using Base = ModelAtomic<T>;

public:
    using Base::Base;
    T load(std::memory_order o, const char* file = __builtin_FILE(),
           int line = __builtin_LINE()) const {
        return Base::load(Orders::rest_of(o, file, line));
    }
    void store(T value, std::memory_order o, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) {
        Base::store(value, Orders::rest_of(o, file, line));
    }
    T fetch_add(T n, std::memory_order o, const char* file = __builtin_FILE(),
                int line = __builtin_LINE()) {
        return Base::fetch_add(n, Orders::rest_of(o, file, line));
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order o,
                                 std::memory_order failure, const char* file = __builtin_FILE(),
                                 int line = __builtin_LINE()) {
        return Base::compare_exchange_strong(expected, desired, Orders::rest_of(o, file, line),
                                             failure);
    }
};

/// Returns the needless orders in `look`: leaving them out leads to no mistake. `look()` explores,
/// and returns the first mistake, or "".
template <class Look>
std::vector<std::string> needless_orders(Look look) {
    Orders::seen.clear();
    Orders::left_out.reset();
    std::vector<std::string> needless;
    if (const std::string mistake = look(); !mistake.empty()) needless.push_back(mistake);
    const std::set<Order> all = Orders::seen;
    if (all.empty()) needless.emplace_back("there are none");
    for (const Order& order : all) {
        Orders::left_out = order;
        if (!look().empty()) continue;
        const bool acquire = order.half == std::memory_order_acquire;
        needless.push_back(order.file + ':' + std::to_string(order.line) +
                           (acquire ? ": acquire" : ": release"));
    }
    Orders::left_out.reset();
    return needless;
}

/// A value that notifies the explorer when it is constructed, moved from and destroyed.
class Tracked {
public:
    explicit Tracked(int n) noexcept : number{n} { touch(1); }
    Tracked(Tracked&& other) noexcept : number{other.number} {
        other.touch(0);
        touch(1);
    }
    Tracked& operator=(Tracked&& other) noexcept {
        other.touch(0);
        touch(0);
        number = other.number;
        return *this;
    }
    ~Tracked() { touch(-1); }

    int number;

private:
    void touch(int change) const { Explorer::current->touch(this, change); }
};

/// A Tracked whose rings are made of `Atomic`.
template <template <class> class Atomic>
class TrackedOver : public Tracked {
public:
    using Tracked::Tracked;
};

}  // namespace belay_test

template <template <class> class Atomic>
struct belay::detail::RingAtomics<belay_test::TrackedOver<Atomic>> {
    template <class N>
    using Of = Atomic<N>;
};
