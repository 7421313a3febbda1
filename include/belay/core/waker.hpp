// SPDX-License-Identifier: MIT
/// \file belay/core/waker.hpp
/// Waker: the connection between a machine and its driver, which ends with the machine.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t
#include <utility>  // std::exchange

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace driver {

struct WakeNode;

/// The functions that a driver provides for a machine.
///
/// They are plain functions, so that the core needs no virtual ones.
struct WakeOps {
    /// Makes the driver read the machine's deadline again soon.
    /// Any thread; also after the driver's end.
    void (*wake)(WakeNode&) noexcept;
    /// Does the same from the home thread, without a lock or a system call.
    void (*touch)(WakeNode&) noexcept;
    /// Returns the driver's time.
    Instant (*now)(WakeNode&) noexcept;
    /// Removes the machine, which is being destroyed: the driver never calls it again.
    /// Home thread.
    void (*detach)(WakeNode&) noexcept;
    /// Destroys the entry after its last reference is gone.
    void (*destroy)(WakeNode*) noexcept;
};

/// The driver's entry for one machine. Drivers derive theirs from it. It outlives both sides.
struct WakeNode {
    explicit WakeNode(const WakeOps& o) noexcept : ops{&o} {}

    const WakeOps* ops;
    std::atomic<std::uint32_t> references{1};
};

/// A counted reference to a driver's entry, which can only wake.
///
/// Thread safety: distinct objects safe.
class WakeHandle {
public:
    WakeHandle() noexcept = default;
    WakeHandle(const WakeHandle& other) noexcept : node_{other.node_} {
        if (node_ != nullptr) node_->references.fetch_add(1, std::memory_order_relaxed);
    }
    WakeHandle(WakeHandle&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
    WakeHandle& operator=(WakeHandle other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~WakeHandle() {
        if (node_ != nullptr && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            node_->ops->destroy(node_);
        }
    }

    /// Takes over one reference that the driver has counted already.
    [[nodiscard]] static WakeHandle adopt(WakeNode* node) noexcept {
        WakeHandle h;
        h.node_ = node;
        return h;
    }

    /// Asks the driver to look at the machine soon.   Any thread.   Blocks: never for long.
    void wake() const noexcept {
        if (node_ != nullptr) node_->ops->wake(*node_);
    }
    [[nodiscard]] WakeNode* node() const noexcept { return node_; }

private:
    WakeNode* node_ = nullptr;
};

}  // namespace driver

/// A machine's registration with its driver. Destroying or replacing it detaches the machine.
///
/// Without a driver (default constructed), every call does nothing and `now()` is `always`.
/// Thread safety: home thread, except for what `handle()` returns.
class Waker {
public:
    Waker() noexcept = default;
    Waker(driver::WakeHandle handle, Seed seed) noexcept
        : handle_{std::move(handle)}, seed_{seed}, owns_{true} {}
    Waker(Waker&& other) noexcept
        : handle_{std::move(other.handle_)},
          seed_{other.seed_},
          owns_{std::exchange(other.owns_, false)} {}
    Waker& operator=(Waker&& other) noexcept {
        if (this != &other) {
            detach();
            handle_ = std::move(other.handle_);
            seed_ = other.seed_;
            owns_ = std::exchange(other.owns_, false);
        }
        return *this;
    }
    ~Waker() { detach(); }

    /// Makes the driver read the deadline again before it waits, because it moved earlier.
    void touch() const noexcept {
        if (driver::WakeNode* const node = handle_.node()) node->ops->touch(*node);
    }

    /// Returns the driver's time; `always` without a driver. For commands that act outside a turn.
    [[nodiscard]] Instant now() const noexcept {
        driver::WakeNode* const node = handle_.node();
        return node != nullptr ? node->ops->now(*node) : always;
    }

    /// Returns the seed of the machine's random bits.
    [[nodiscard]] Seed seed() const noexcept { return seed_; }

    /// Returns a handle for other threads.
    [[nodiscard]] const driver::WakeHandle& handle() const noexcept { return handle_; }

    /// Returns a Waker for a machine inside this one.
    ///
    /// It has the same driver, other random bits, and no registration of its own.
    [[nodiscard]] Waker nested(std::uint64_t key) const noexcept {
        Waker w{handle_, Seed{detail::mix64(seed_.value + 0x9E3779B97F4A7C15U * (key + 1))}};
        w.owns_ = false;
        return w;
    }

    /// Ends the registration: the driver never calls the machine again.   Errors: none.
    void detach() noexcept {
        if (std::exchange(owns_, false)) {
            driver::WakeNode* const node = handle_.node();
            if (node != nullptr) node->ops->detach(*node);
        }
        handle_ = driver::WakeHandle{};
    }

private:
    driver::WakeHandle handle_;
    Seed seed_{0};
    bool owns_ = false;
};

}}  // namespace belay
