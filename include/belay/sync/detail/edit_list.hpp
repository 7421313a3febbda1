// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/edit_list.hpp
/// EditList: the edits of a Replica in their order, by their numbers.
#pragma once

#include <algorithm>  // std::min
#include <cstddef>    // std::ptrdiff_t, std::size_t
#include <cstdint>    // std::uint64_t
#include <iterator>   // std::forward_iterator_tag
#include <memory>     // std::unique_ptr, std::make_unique_for_overwrite
#include <optional>   // std::optional
#include <tuple>      // std::forward_as_tuple
#include <utility>    // std::forward, std::move, std::pair, std::piecewise_construct
#include <vector>     // std::vector

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A list of pairs of a number and an edit, in the order of the numbers, in blocks of memory.
///
/// An iterator is a place in the list. So push_back() invalidates no iterator and no reference. An
/// erasure invalidates those of the erased edit and the later ones.
///
/// Complexity: push_back() is constant, and at() nearly so, if few edits were erased in between.
template <class Edit>
class EditList {
public:
    using Entry = std::pair<std::uint64_t, Edit>;

    template <class List, class Value>
    class Iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = Entry;
        using difference_type = std::ptrdiff_t;
        using pointer = Value*;
        using reference = Value&;

        Iterator() noexcept = default;
        Iterator(List& of, std::size_t place) noexcept : list_{&of}, place_{place} {}
        [[nodiscard]] Value& operator*() const noexcept { return list_->entry(place_); }
        [[nodiscard]] Value* operator->() const noexcept { return &list_->entry(place_); }
        Iterator& operator++() noexcept { return ++place_, *this; }
        Iterator operator++(int) noexcept { return {*list_, place_++}; }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.place_ == b.place_;
        }
        [[nodiscard]] std::size_t place() const noexcept { return place_; }

    private:
        List* list_ = nullptr;
        std::size_t place_ = 0;
    };
    using iterator = Iterator<EditList, Entry>;
    using const_iterator = Iterator<const EditList, const Entry>;

    [[nodiscard]] iterator begin() noexcept { return {*this, 0}; }
    [[nodiscard]] iterator end() noexcept { return {*this, size_}; }
    [[nodiscard]] const_iterator begin() const noexcept { return {*this, 0}; }
    [[nodiscard]] const_iterator end() const noexcept { return {*this, size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] Edit& back() noexcept { return entry(size_ - 1).second; }

    /// Adds an edit.   Pre: `number` is above all others.
    template <class Made>
    Edit& push_back(std::uint64_t number, Made&& made) {
        if (size_ == blocks_.size() * block_size)
            blocks_.push_back(std::make_unique_for_overwrite<Block>());
        auto& slot = blocks_[size_ / block_size]->slots[size_ % block_size];
        Entry& entry = slot.emplace(std::piecewise_construct, std::forward_as_tuple(number),
                                    std::forward_as_tuple(std::forward<Made>(made)));
        ++size_;
        return entry.second;
    }
    /// Returns the edit with a number.   Pre: it is in the list.
    [[nodiscard]] Edit& at(std::uint64_t number) noexcept { return entry(place_of(number)).second; }
    [[nodiscard]] const Edit& at(std::uint64_t number) const noexcept {
        return entry(place_of(number)).second;
    }
    void pop_back() noexcept {
        --size_;
        blocks_[size_ / block_size]->slots[size_ % block_size].reset();
    }
    /// Erases an edit.   Complexity: linear in the later ones.
    void erase(const iterator& at) {
        for (std::size_t i = at.place(); i + 1 < size_; ++i) entry(i) = std::move(entry(i + 1));
        pop_back();
    }
    /// Erases the edits for which `is_erased(entry)` is true.   Returns: their number.
    template <class Predicate>
    std::size_t erase_if(Predicate is_erased) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (is_erased(entry(i))) continue;
            if (kept != i) entry(kept) = std::move(entry(i));
            ++kept;
        }
        const std::size_t erased = size_ - kept;
        while (size_ != kept) pop_back();
        blocks_.resize((size_ + block_size - 1) / block_size);
        return erased;
    }

private:
    template <class List, class Value>
    friend class Iterator;
    static constexpr std::size_t block_size = 16;
    struct Block {
        std::optional<Entry> slots[block_size];
    };

    [[nodiscard]] Entry& entry(std::size_t place) noexcept {
        return *blocks_[place / block_size]->slots[place % block_size];
    }
    [[nodiscard]] const Entry& entry(std::size_t place) const noexcept {
        return *blocks_[place / block_size]->slots[place % block_size];
    }
    /// Numbers rise, so an edit is no later than if none had been erased.
    [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
        BELAY_INVARIANT(size_ != 0 && entry(0).first <= number, "EditList: no edit has the number");
        std::size_t last =
            static_cast<std::size_t>(std::min<std::uint64_t>(number - entry(0).first, size_ - 1));
        std::size_t first = 0;
        while (entry(last).first != number) {
            const std::size_t middle = first + (last - first) / 2;
            BELAY_INVARIANT(first != last, "EditList: no edit has the number");
            if (entry(middle).first < number) {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        return last;
    }

    std::vector<std::unique_ptr<Block>> blocks_{};
    std::size_t size_ = 0;
};

}}}  // namespace belay::detail
