// SPDX-License-Identifier: MIT
/// \file belay/core/waker.hpp
/// Waker: how a machine and its driver know each other; undoes itself when the machine goes.
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

/// What a driver does for a machine: plain functions, so that the core needs no virtual ones.
struct WakeOps {
    /// Makes the driver re-read the machine's deadline soon.   Any thread; also after the driver's
    /// end.
    void (*wake)(WakeNode&) noexcept;
    /// The same from the home thread, without lock or system call.
    void (*touch)(WakeNode&) noexcept;
    /// The driver's time.
    Instant (*now)(WakeNode&) noexcept;
    /// The machine is going: the driver never calls it again.   Home thread.
    void (*detach)(WakeNode&) noexcept;
    /// The last reference is gone.
    void (*destroy)(WakeNode*) noexcept;
};

/// The driver's entry for one machine; drivers derive theirs from it. It outlives both sides.
struct WakeNode {
    explicit WakeNode(const WakeOps& o) noexcept : ops{&o} {}

    const WakeOps* ops;
    std::atomic<std::uint32_t> references{1};
};

/// A counted reference to a driver's entry; may only wake.   Thread safety: distinct objects safe.
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
/// Without a driver (default constructed) every call is a no-op and `now()` is `always`.
/// Thread safety: home thread, but for what `handle()` gives.
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

    /// The machine's deadline moved earlier: the driver re-reads it before it waits again.
    void touch() const noexcept {
        if (driver::WakeNode* const node = handle_.node()) node->ops->touch(*node);
    }

    /// The driver's time; `always` without a driver. For commands that act outside a turn.
    [[nodiscard]] Instant now() const noexcept {
        driver::WakeNode* const node = handle_.node();
        return node != nullptr ? node->ops->now(*node) : always;
    }

    /// Where the machine's random bits start.
    [[nodiscard]] Seed seed() const noexcept { return seed_; }

    /// For other threads.
    [[nodiscard]] const driver::WakeHandle& handle() const noexcept { return handle_; }

    /// For a machine inside this one: the same driver, other random bits, no registration of its
    /// own.
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
