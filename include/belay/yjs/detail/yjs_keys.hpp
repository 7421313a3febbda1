// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_keys.hpp
/// KeyedValues: which value of a key comes last, and is the one that counts.
#pragma once

#include <algorithm>  // std::sort, std::lower_bound, std::binary_search, std::equal
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_struct.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// All values that the keys of maps had, and of attributes.
///
/// The values of a key are a list, of which only the last counts. A client adds a value after the
/// last one that it has. Values that were added after the same one are ordered by client. Each of
/// them is followed by those that were added after it.
///
/// Source: yjs 13.6, src/structs/Item.js (integrate), for items without a right neighbour.
class KeyedValues {
public:
    /// Adds a struct of such a list.   Pre: its bytes outlive this object.
    void add(const Struct& s) {
        is_ordered_ = is_ordered_ && !s.has(has_right_origin);
        const Value value{s.client, s.clock, s.len};
        if (s.has(has_origin)) {
            later_.push_back({s.origin, value});
        } else {
            firsts_.push_back({s.head(), value});
        }
    }

    /// Finds the last value of each key. Returns false if Yjs orders them in another way, which it
    /// does for no value that it has written itself.
    /// Complexity: O(n log n).
    [[nodiscard]] bool find_last() {
        std::sort(later_.begin(), later_.end(), [](const Later& a, const Later& b) {
            return a.origin.client != b.origin.client ? a.origin.client < b.origin.client
                   : a.origin.clock != b.origin.clock ? a.origin.clock < b.origin.clock
                                                      : a.value.client > b.value.client;
        });
        std::sort(firsts_.begin(), firsts_.end(), [](const First& a, const First& b) {
            if (is_same_key(a, b)) return a.value.client > b.value.client;
            return std::lexicographical_compare(a.key.begin(), a.key.end(), b.key.begin(),
                                                b.key.end());
        });
        for (std::size_t i = 0; i < firsts_.size() && is_ordered_; ++i) {
            if (i == 0 || !is_same_key(firsts_[i - 1], firsts_[i])) follow(firsts_[i].value);
            const bool twice = i > 0 && is_same_key(firsts_[i - 1], firsts_[i]) &&
                               firsts_[i - 1].value.client == firsts_[i].value.client;
            is_ordered_ = is_ordered_ && !twice;
        }
        std::sort(last_.begin(), last_.end(), before);
        return is_ordered_;
    }

    /// Returns whether a clock is the last value of its key.   Pre: find_last() returned true.
    [[nodiscard]] bool is_last(Id id) const noexcept {
        return std::binary_search(last_.begin(), last_.end(), id, before);
    }

private:
    struct Value {
        std::uint64_t client;
        std::uint64_t clock;
        std::uint64_t len;
    };
    struct First {
        BytesView key;  ///< the parent and the key, as they are written
        Value value;
    };
    struct Later {
        Id origin;
        Value value;
    };

    [[nodiscard]] static bool before(const Id& a, const Id& b) noexcept {
        return a.client != b.client ? a.client < b.client : a.clock < b.clock;
    }
    [[nodiscard]] static bool is_same_key(const First& a, const First& b) noexcept {
        return std::equal(a.key.begin(), a.key.end(), b.key.begin(), b.key.end());
    }

    /// Goes from a value to the last one after it.
    void follow(Value value) {
        for (;;) {
            const Id at{value.client, value.clock};
            const auto next = std::lower_bound(
                later_.begin(), later_.end(), at,
                [](const Later& later, const Id& id) { return before(later.origin, id); });
            const std::uint64_t end = value.clock + value.len;
            if (next == later_.end() || next->origin.client != value.client ||
                next->origin.clock >= end) {
                return last_.push_back({value.client, end - 1});
            }
            const auto other = next + 1;
            if (other != later_.end() && other->origin == next->origin &&
                other->value.client == next->value.client) {
                is_ordered_ = false;
                return;
            }
            // Within a struct, each clock was added after the one before it.
            const std::uint64_t behind = next->origin.clock + 1;
            if (behind < end && next->value.client == value.client) {
                is_ordered_ = false;
                return;
            }
            if (behind < end && next->value.client < value.client) {
                value = {value.client, behind, end - behind};
            } else {
                value = next->value;
            }
        }
    }

    std::vector<First> firsts_;
    std::vector<Later> later_;
    std::vector<Id> last_;
    bool is_ordered_ = true;
};

}}}  // namespace belay::yjs::detail
