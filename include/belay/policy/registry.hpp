// SPDX-License-Identifier: MIT
/// \file belay/policy/registry.hpp
/// policies::Registry: policies, or objects that they share, by name and by key.
#pragma once

#include <concepts>          // std::convertible_to
#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint64_t
#include <initializer_list>  // std::initializer_list
#include <list>              // std::list
#include <map>               // std::map
#include <memory>            // std::shared_ptr, std::make_shared
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <system_error>      // std::error_code
#include <type_traits>       // std::remove_const_t
#include <utility>           // std::forward, std::move

#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/result.hpp>
#include <belay/policy/any_policy.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace policies {

/// The errors of a Registry; category "belay.policy". Values are appended, never renumbered.
enum class RegistryErrc {
    full = 1,         ///< it has `entries_max` objects, and none of them is idle
    key_too_long = 2  ///< the key has more than 1024 bytes
};

}  // namespace policies

namespace detail {
inline constexpr ErrorText registry_error_texts[] = {
    {"the registry is full, and none of its objects is idle", Cause::overloaded},
    {"the key is longer than the registry's limit", Cause::permanent},
};

/// Returns the category "belay.policy".
[[nodiscard]] inline const std::error_category& registry_category() noexcept {
    static const TableCategory category{"belay.policy", registry_error_texts};
    return category;
}
}  // namespace detail

namespace policies {

/// Makes a std::error_code from a RegistryErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(RegistryErrc errc) noexcept {
    return {static_cast<int>(errc), detail::registry_category()};
}

}  // namespace policies

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::policies::RegistryErrc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI { namespace policies {

/// The limits of a Registry.
struct RegistryOptions {
    /// The most objects, of both kinds.   Pre: >= 1.
    std::size_t entries_max = 1000;
    /// The time without a `get` after which an object that was made for a key may be removed.
    Duration idle_after = std::chrono::minutes{10};
};

/// The numbers of a Registry. All but `entries` only rise.
struct RegistryCounters {
    std::size_t entries = 0;     ///< objects that it has now
    std::uint64_t made = 0;      ///< objects that were made for a key
    std::uint64_t evicted = 0;   ///< idle objects that were removed
    std::uint64_t rejected = 0;  ///< calls of `get` and `set` that found it full
};

/// A key of one or more parts: a name, or `{tenant, host}`. It refers to the caller's texts.
///
/// `{"a", "bc"}` and `{"ab", "c"}` are different keys.   Thread safety: a plain value.
class RegistryKey {
public:
    template <class Text>
        requires std::convertible_to<const Text&, std::string_view>
    RegistryKey(const Text& name) noexcept : name_{name} {}
    RegistryKey(std::initializer_list<std::string_view> parts) noexcept : parts_(parts) {}

private:
    template <class>
    friend class Registry;

    // The most bytes of a key, of all its parts together. A longer key is rejected without a copy.
    // The name of a host has at most 253 bytes, and keys may come from a peer.
    static constexpr std::size_t key_bytes_max = 1024;

    [[nodiscard]] bool fits() const noexcept {
        std::size_t bytes_max = key_bytes_max;
        if (name_.size() > bytes_max) return false;
        for (const std::string_view part : parts_) {
            if (part.size() > bytes_max) return false;
            bytes_max -= part.size();
        }
        return true;
    }
    // Each part follows its length, so that no two keys have the same text.
    [[nodiscard]] std::string text() const {
        std::string all;
        const auto add = [&all](std::string_view part) {
            all += std::to_string(part.size());
            all += ':';
            all += part;
        };
        if (parts_.size() == 0) add(name_);
        for (const std::string_view part : parts_) add(part);
        return all;
    }

    std::string_view name_{};
    std::initializer_list<std::string_view> parts_{};
};

/// Keeps policies by name, and objects that policies share by key, for any number of threads.
///
/// By name, for operators who change policies while the program runs:
///
///     policies::Registry<> registry;
///     for (auto& [name, policy] : *policies::read_policies(text)) registry.set(name, policy);
///     if (auto policy = registry.find("payments")) retry(*policy, sleeper, call);
///
/// A run copies the policy with which it begins. So a run that waits keeps it when `set` replaces
/// it, and the next `find` returns the new one.
///
/// By key, so that each tenant or host has a breaker and a budget of its own:
///
///     struct Host { CircuitBreaker<> breaker{...}; TokenBudget budget; };
///     policies::Registry<Host> hosts{{.entries_max = 10'000}};
///     auto host = hosts.get({tenant, name}, clock.now(), [] { return std::make_shared<Host>(); });
///
/// An object that `set` stored stays until `remove`. An object that `get` made is idle if nothing
/// but the registry refers to it, and no `get` asked for it for `idle_after`. A full registry
/// removes the object that has been idle for longest. If none is idle, it rejects the new key. So
/// new keys do not push out a breaker that is open for a host in use. Call without the shared
/// object then, or give all such keys one object in common.
///
/// Thread safety: any thread. `make`, and the destructors of objects, run without a lock. An object
///                of which a thread has a handle is as safe as its type.
/// Blocks:        for a lookup by another caller.
/// Allocates:     the text of the key, and what an object needs.   Throws: std::bad_alloc.
template <class Value = const AnyPolicy>
class Registry {
public:
    /// Refers to an object, which exists as long as a handle does.
    using Handle = std::shared_ptr<Value>;

    /// Pre: options.entries_max >= 1, options.idle_after >= 0ns.
    explicit Registry(RegistryOptions options = {}) : options_{options} {
        BELAY_OPTION(options.entries_max >= 1, "Registry: entries_max must be >= 1");
        BELAY_OPTION(options.idle_after.count() >= 0, "Registry: idle_after must be >= 0ns");
    }
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    /// Stores an object under a name, or replaces the one that is there.
    ///
    /// `object` is a handle that is not null, or anything of which a Value can be made. Handles to
    /// the former object stay valid. Without `now`, a full registry does not look for an idle
    /// object to remove.
    /// Errors: RegistryErrc::full, RegistryErrc::key_too_long; nothing has changed then.
    /// Complexity: O(log entries), and O(entries) if it is full of objects that are in use.
    template <class Object>
    [[nodiscard]] std::error_code set(RegistryKey key, Object&& object, Instant now = always) {
        if (!key.fits()) return RegistryErrc::key_too_long;
        New added{key.text(), handle_of(std::forward<Object>(object)), now};
        Removed removed;
        const detail::SpinLock lock{mutex_};
        if (const auto found = entries_.find(added.text()); found != entries_.end()) {
            Entry& entry = found->second;
            std::swap(entry.object, added.entry().object);
            if (!entry.is_kept) removed.order.splice(removed.order.end(), order_, entry.place);
            entry.is_kept = true;
            return {};
        }
        if (!make_place(now, removed)) return RegistryErrc::full;
        added.entry().is_kept = true;
        entries_.insert(std::move(added.node));
        return {};
    }

    /// Returns the object of a key, or null if there is none. It does not count as a use.
    /// Complexity: O(log entries).
    [[nodiscard]] Handle find(RegistryKey key) const {
        if (!key.fits()) return nullptr;
        const std::string text = key.text();
        const detail::SpinLock lock{mutex_};
        const auto found = entries_.find(text);
        return found == entries_.end() ? nullptr : found->second.object;
    }

    /// Returns the object of a key. If there is none, it makes one by `make()`.
    ///
    /// `make` returns a handle that is not null, or anything of which a Value can be made. If
    /// several threads make an object for one key at once, all get the same, and the others are
    /// destroyed.
    /// Errors: RegistryErrc::full, RegistryErrc::key_too_long.
    /// Complexity: O(log entries), and O(entries) for a new key if it is full of objects in use.
    /// Throws: what `make` throws; nothing has changed then.
    template <class Make>
    [[nodiscard]] Result<Handle> get(RegistryKey key, Instant now, Make&& make) {
        if (!key.fits()) return RegistryErrc::key_too_long;
        std::string text = key.text();
        {
            const detail::SpinLock lock{mutex_};
            if (const auto found = entries_.find(text); found != entries_.end()) {
                return used(found, now);
            }
            if (is_full() && first_idle(now) == order_.end()) {
                ++counters_.rejected;
                return RegistryErrc::full;
            }
        }
        New added{std::move(text), handle_of(make()), now};
        Removed removed;
        const detail::SpinLock lock{mutex_};
        if (const auto found = entries_.find(added.text()); found != entries_.end()) {
            return used(found, now);
        }
        if (!make_place(now, removed)) return RegistryErrc::full;
        ++counters_.made;
        const auto at = entries_.insert(std::move(added.node)).position;
        order_.splice(order_.end(), added.order);
        return at->second.object;
    }

    /// Removes the object of a key. Handles to it stay valid.   Returns whether there was one.
    bool remove(RegistryKey key) {
        if (!key.fits()) return false;
        const std::string text = key.text();
        Removed removed;
        const detail::SpinLock lock{mutex_};
        const auto found = entries_.find(text);
        if (found == entries_.end()) return false;
        take(found, removed);
        return true;
    }

    /// Removes all idle objects, and returns their number.   Complexity: O(entries * log(entries)).
    std::size_t evict_idle(Instant now) {
        Removed removed;
        const detail::SpinLock lock{mutex_};
        std::size_t count = 0;
        for (auto at = order_.begin(); at != order_.end();) {
            const Item& item = **at++;
            if (!is_idle(item.second, now)) continue;
            take(entries_.find(item.first), removed);
            ++count;
        }
        counters_.evicted += count;
        return count;
    }

    /// Returns the numbers, which are exact.   Errors: none.
    [[nodiscard]] RegistryCounters counters() const noexcept {
        const detail::SpinLock lock{mutex_};
        RegistryCounters all = counters_;
        all.entries = entries_.size();
        return all;
    }

private:
    struct Entry;
    using Item = std::pair<const std::string, Entry>;
    // The objects that `get` made, those first whose last use is longest ago.
    using Order = std::list<const Item*>;
    struct Entry {
        Handle object;
        Instant used_at;
        bool is_kept = false;  // by `set`; it has no place then
        typename Order::iterator place{};
    };
    using Map = std::map<std::string, Entry>;

    // An entry that is not yet in the registry: its memory is taken before the lock is.
    struct New {
        New(std::string text, Handle object, Instant now) {
            Map one;
            const auto at = one.emplace(std::move(text), Entry{std::move(object), now}).first;
            order.push_back(&*at);
            at->second.place = order.begin();
            node = one.extract(at);
        }
        [[nodiscard]] const std::string& text() const noexcept { return node.key(); }
        [[nodiscard]] Entry& entry() noexcept { return node.mapped(); }

        typename Map::node_type node;
        Order order;
    };
    // Entries that are no longer in the registry: their destructors run after the lock.
    struct Removed {
        Map entries;
        Order order;
    };

    template <class Object>
    [[nodiscard]] static Handle handle_of(Object&& object) {
        if constexpr (std::convertible_to<Object, Handle>) {
            Handle handle = std::forward<Object>(object);
            BELAY_PRECONDITION(handle != nullptr, "Registry: the handle must not be null");
            return handle;
        } else {
            return std::make_shared<std::remove_const_t<Value>>(std::forward<Object>(object));
        }
    }

    // The functions below are called under the lock.
    [[nodiscard]] Handle used(typename Map::iterator at, Instant now) noexcept {
        Entry& entry = at->second;
        if (now > entry.used_at) entry.used_at = now;
        if (!entry.is_kept) order_.splice(order_.end(), order_, entry.place);
        return entry.object;
    }
    [[nodiscard]] bool is_full() const noexcept { return entries_.size() >= options_.entries_max; }
    [[nodiscard]] bool is_idle(const Entry& entry, Instant now) const noexcept {
        // Only a `get` or `find`, which needs the lock, could refer to it again.
        return elapsed(entry.used_at, now) >= options_.idle_after && entry.object.use_count() == 1;
    }
    [[nodiscard]] typename Order::iterator first_idle(Instant now) noexcept {
        for (auto at = order_.begin(); at != order_.end(); ++at) {
            if (is_idle((*at)->second, now)) return at;
        }
        return order_.end();
    }
    [[nodiscard]] bool make_place(Instant now, Removed& removed) noexcept {
        if (!is_full()) return true;
        const auto idle = first_idle(now);
        if (idle == order_.end()) {
            ++counters_.rejected;
            return false;
        }
        take(entries_.find((*idle)->first), removed);
        ++counters_.evicted;
        return true;
    }
    void take(typename Map::iterator at, Removed& removed) noexcept {
        if (!at->second.is_kept) {
            removed.order.splice(removed.order.end(), order_, at->second.place);
        }
        removed.entries.insert(entries_.extract(at));
    }

    const RegistryOptions options_;
    mutable detail::SpinMutex mutex_;
    Map entries_;
    Order order_;
    RegistryCounters counters_{};
};

}  // namespace policies

}}  // namespace belay
