// SPDX-License-Identifier: MIT
/// \file tests/support/model_atomic.hpp
/// ModelAtomic and Tracked: a std::atomic and a value, as explore() sees them.
#pragma once

#include "support/explorer.hpp"

namespace belay_test {

/// What a std::atomic is, for explore(). Outside of its threads it is a plain value.
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
    T fetch_add(T n, std::memory_order o) {
        T old{};
        change(o, o, old, [&](std::uint64_t was, std::uint64_t& next) {
            next = static_cast<T>(static_cast<T>(was) + n);
            return true;
        });
        return old;
    }
    T fetch_sub(T n, std::memory_order o) { return fetch_add(static_cast<T>(-n), o); }
    void wait(T old, std::memory_order) const { e().wait(at_, static_cast<std::uint64_t>(old)); }
    void notify_one() { tell(false); }
    void notify_all() { tell(true); }

private:
    static Explorer& e() { return *Explorer::current; }
    void tell(bool all) {
        if (e().in_thread()) e().notify(at_, all);
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

/// What a Faulty atomic does wrong.
enum class Fault { no_release, no_acquire, wakes_one, adds_nothing_by_load };

/// A ModelAtomic with one mistake, to see that the explorer finds it.
template <Fault fault>
struct Faulty {
    template <class T>
    class Atomic : public ModelAtomic<T> {
    public:
        using ModelAtomic<T>::ModelAtomic;
        T load(std::memory_order o) const { return ModelAtomic<T>::load(weakened(o)); }
        void store(T value, std::memory_order o) { ModelAtomic<T>::store(value, weakened(o)); }
        T fetch_add(T n, std::memory_order o) {
            if (fault == Fault::adds_nothing_by_load && n == T{})
                return ModelAtomic<T>::load(std::memory_order_acquire);
            return ModelAtomic<T>::fetch_add(n, o);
        }
        void notify_all() {
            fault == Fault::wakes_one ? ModelAtomic<T>::notify_one() : ModelAtomic<T>::notify_all();
        }

    private:
        static constexpr std::memory_order weakened(std::memory_order o) {
            const bool weak = (fault == Fault::no_release && o == std::memory_order_release) ||
                              (fault == Fault::no_acquire && o == std::memory_order_acquire);
            return weak ? std::memory_order_relaxed : o;
        }
    };
};

/// A value that tells the explorer when it is made, moved from and destroyed.
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

}  // namespace belay_test
