// SPDX-License-Identifier: MIT
/// \file belay/link/detail/question_table.hpp
/// QuestionTable: the open questions of a Requests, by id, by deadline and in order.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint32_t, std::uint64_t
#include <optional>  // std::optional
#include <utility>   // std::move
#include <vector>    // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One question. It is in at most one of the lists `waiting` and `sent`, and in the heap of
/// deadlines while it is open.
template <class M>
struct Question {
    using Done = Function<void(Result<M, Failure>)>;
    using Index = std::uint32_t;
    enum class List : std::uint8_t { none, waiting, sent };

    std::uint64_t id = 0;
    Instant deadline{};
    Index previous = 0;    // in its list
    Index next = 0;        // in its list, or in the list of unused questions
    Index next_ended = 0;  // in the list of those that have ended
    std::uint32_t heap_place = 0;
    unsigned sends = 0;
    List list = List::none;
    bool is_open = false;   // neither answered nor failed
    bool is_ended = false;  // failed, and `done` was not called yet
    bool sends_again = false;
    Failure failure{};
    std::optional<M> message{};  // until it is sent for the last time
    Done done{};
};

/// The questions of a Requests. It allocates only while the number of questions grows.
///
/// An id has the index of its question in the lowest bits, and above them a number that never
/// repeats. An id of the past is therefore never that of another question.
///
/// Complexity: O(1), except deadlines: O(log n).   Thread safety: distinct objects safe.
template <class M>
class QuestionTable {
public:
    using Item = Question<M>;
    using Index = typename Item::Index;
    using ItemList = typename Item::List;
    static constexpr unsigned index_bits = 20;
    static constexpr Index none = ~Index{0};

    /// Returns the id of the next question.   Throws: std::bad_alloc; nothing has changed then.
    [[nodiscard]] std::uint64_t next_id() {
        if (unused_ == none) {
            if (deadlines_.capacity() == items_.size()) {
                deadlines_.reserve(items_.size() == 0 ? 4 : 2 * items_.size());
            }
            items_.emplace_back();
            items_.back().next = none;
            unused_ = static_cast<Index>(items_.size() - 1);
        }
        return ((count_ + 1) << index_bits) | unused_;
    }
    /// Adds the question whose id next_id() has returned. It is in no list.
    Item& add(Instant deadline, bool sends_again, typename Item::Done&& done) noexcept {
        const Index index = unused_;
        Item& item = items_[index];
        unused_ = item.next;
        item.id = (++count_ << index_bits) | index;
        item.deadline = deadline;
        item.sends = 0;
        item.sends_again = sends_again;
        item.is_open = true;
        item.done = std::move(done);
        deadlines_.push_back(index);  // next_id() has reserved the space
        rise_in_heap(deadlines_, deadlines_.size() - 1, earlier(), putter());
        ++size_;
        return item;
    }

    /// Returns the open question with this id, or null.
    [[nodiscard]] Item* find(std::uint64_t id) noexcept {
        const std::uint64_t index = id & ((std::uint64_t{1} << index_bits) - 1);
        if (index >= items_.size()) return nullptr;
        Item& item = items_[static_cast<std::size_t>(index)];
        return item.is_open && item.id == id ? &item : nullptr;
    }
    [[nodiscard]] Item* first_waiting() noexcept { return at(waiting_.first); }
    [[nodiscard]] Item* first_sent() noexcept { return at(sent_.first); }
    [[nodiscard]] Item* first_due() noexcept {
        return deadlines_.empty() ? nullptr : &items_[deadlines_.front()];
    }
    [[nodiscard]] Instant deadline() const noexcept {
        return deadlines_.empty() ? never : items_[deadlines_.front()].deadline;
    }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size; }
    [[nodiscard]] std::size_t sent() const noexcept { return sent_.size; }
    [[nodiscard]] std::size_t ended() const noexcept { return ended_.size; }
    [[nodiscard]] std::size_t open() const noexcept { return deadlines_.size(); }
    /// Returns the number of questions that need space.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Moves a question to the back of a list.
    void append(Item& item, ItemList to) noexcept {
        unlink(item);
        List& list = list_of(to);
        const Index index = index_of(item);
        item.list = to;
        item.previous = list.last;
        item.next = none;
        (list.last == none ? list.first : items_[list.last].next) = index;
        list.last = index;
        ++list.size;
    }
    /// Removes all questions that were sent. Those that still have their message wait again, in
    /// their order, before the others. The others fail.   Returns: how many fail.
    std::size_t lose_sent(const Failure& failure) noexcept {
        for (Index i = sent_.last; i != none;) {
            Item& item = items_[i];
            i = item.previous;
            if (item.is_open && item.message) wait_first(item);
        }
        std::size_t failed = 0;
        while (sent_.first != none) {
            Item& item = items_[sent_.first];
            if (item.is_open) {
                end(item, failure);
                ++failed;
            }
            drop_place(item);
        }
        return failed;
    }
    /// All questions that wait fail.   Returns: how many.
    std::size_t lose_waiting(const Failure& failure) noexcept {
        const std::size_t failed = waiting_.size;
        while (waiting_.first != none) {
            Item& item = items_[waiting_.first];
            end(item, failure);
            drop_place(item);
        }
        return failed;
    }

    /// The question fails: take_ended() returns it later. It stays in its list.
    void end(Item& item, const Failure& failure) noexcept {
        close(item);
        item.message.reset();
        item.failure = failure;
        item.is_ended = true;
        item.next_ended = none;
        const Index index = index_of(item);
        (ended_.last == none ? ended_.first : items_[ended_.last].next_ended) = index;
        ended_.last = index;
        ++ended_.size;
    }
    /// An open question is done: removes it, and returns its function.
    [[nodiscard]] typename Item::Done complete(Item& item) noexcept {
        close(item);
        typename Item::Done done = std::move(item.done);
        drop_place(item);
        return done;
    }
    /// Removes a question from its list. Frees its space, unless `done` must still be called.
    void drop_place(Item& item) noexcept {
        unlink(item);
        if (item.is_open || item.is_ended) return;
        item.message.reset();
        item.next = unused_;
        unused_ = index_of(item);
        --size_;
    }

    struct Ended {
        typename Item::Done done;
        Failure failure;
    };
    /// Returns the first question that has failed.   Pre: ended() > 0.
    [[nodiscard]] Ended take_ended() noexcept {
        Item& item = items_[ended_.first];
        ended_.first = item.next_ended;
        if (ended_.first == none) ended_.last = none;
        --ended_.size;
        item.is_ended = false;
        Ended ended{std::move(item.done), item.failure};
        // With answers in order, its place stays until the answer arrives.
        if (item.list == ItemList::none) drop_place(item);
        return ended;
    }

private:
    struct List {
        Index first = none;
        Index last = none;
        std::size_t size = 0;
    };

    void wait_first(Item& item) noexcept {
        unlink(item);
        const Index index = index_of(item);
        item.list = ItemList::waiting;
        item.previous = none;
        item.next = waiting_.first;
        (waiting_.first == none ? waiting_.last : items_[waiting_.first].previous) = index;
        waiting_.first = index;
        ++waiting_.size;
    }
    void unlink(Item& item) noexcept {
        if (item.list == ItemList::none) return;
        List& list = list_of(item.list);
        (item.previous == none ? list.first : items_[item.previous].next) = item.next;
        (item.next == none ? list.last : items_[item.next].previous) = item.previous;
        item.list = ItemList::none;
        --list.size;
    }

    [[nodiscard]] Item* at(Index index) noexcept {
        return index == none ? nullptr : &items_[index];
    }
    [[nodiscard]] Index index_of(const Item& item) const noexcept {
        return static_cast<Index>(&item - items_.data());
    }
    [[nodiscard]] List& list_of(ItemList list) noexcept {
        return list == ItemList::waiting ? waiting_ : sent_;
    }
    [[nodiscard]] auto earlier() const noexcept {
        return [this](Index a, Index b) { return items_[a].deadline < items_[b].deadline; };
    }
    [[nodiscard]] auto putter() noexcept {
        return [this](std::size_t place, Index index) {
            deadlines_[place] = index;
            items_[index].heap_place = static_cast<std::uint32_t>(place);
        };
    }
    /// Removes the deadline of an open question.
    void close(Item& item) noexcept {
        item.is_open = false;
        const std::size_t place = item.heap_place;
        const Index last = deadlines_.back();
        deadlines_.pop_back();
        if (place == deadlines_.size()) return;
        putter()(place, last);
        sink_in_heap(deadlines_, place, earlier(), putter(), deadlines_.size());
        rise_in_heap(deadlines_, items_[last].heap_place, earlier(), putter());
    }

    std::vector<Item> items_;
    std::vector<Index> deadlines_;  // a heap: the earliest is at the front
    List waiting_;
    List sent_;
    List ended_;
    Index unused_ = none;
    std::uint64_t count_ = 0;  // questions so far
    std::size_t size_ = 0;
};

}}}  // namespace belay::detail
