// SPDX-License-Identifier: MIT
/// \file belay/queue/weighed.hpp
/// Weighed: a storage that counts the bytes of its values.
#pragma once

#include <concepts>     // std::same_as, std::convertible_to
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::move

#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class S>
concept LeasesPointer = LeasableLike<S> && requires(S& s) {
    { s.front() } -> std::convertible_to<const typename S::value_type*>;
};
/// Returns the bytes of a contiguous container's elements: of Bytes, a string, a vector of numbers.
struct BytesOfElements {
    [[nodiscard]] constexpr std::size_t operator()(const auto& value) const noexcept
        // Memory that an element has elsewhere would not be counted.
        requires std::is_trivially_copyable_v<std::remove_cvref_t<decltype(*value.data())>>
    {
        return value.size() * sizeof *value.data();
    }
};

}  // namespace detail

/// Counts the bytes of the values that a storage in memory holds, so that a Queue can limit them.
///
///     Queue queue{Weighed{Deque<std::string>{}}, {.bytes_limit = 10 << 20}};
///
/// `bytes_of(value)` returns how many bytes a value has outside of itself. It must return the same
/// number for the same value. A value also counts `sizeof(value_type)`, so that empty values have a
/// bound, too. A leased value is const, because otherwise its bytes could change unnoticed.
///
/// Models:        StorageLike; LeasableLike if the storage does, and leases pointers.
/// Thread safety: distinct objects safe, one thread at a time, even if the storage allows more.
/// Errors, complexity: those of the storage.   Allocates: what the storage allocates.
template <class Storage, class BytesOf = detail::BytesOfElements>
class Weighed {
    // Not a constraint, because the compiler's message for a failed one would hide the sentence.
    static_assert(explain::storage_like<Storage>());

public:
    using value_type = typename Storage::value_type;

    static_assert(std::movable<BytesOf>,
                  "Weighed: bytes_of must be movable; use for example a struct");
    static_assert(
        requires(const BytesOf& bytes_of, const value_type& value) {
            { bytes_of(value) } noexcept -> std::same_as<std::size_t>;
        }, "Weighed: bytes_of needs 'operator()(const value_type&) const noexcept -> std::size_t'");

    /// Pre: the storage is empty.
    explicit Weighed(Storage storage, BytesOf bytes_of = BytesOf())
        : storage_{std::move(storage)}, bytes_of_{std::move(bytes_of)} {
        BELAY_PRECONDITION(storage_.size() == 0, "Weighed::Weighed: the storage must be empty");
    }
    Weighed()
        requires std::default_initializable<Storage> && std::default_initializable<BytesOf>
    = default;

    Weighed(Weighed&& other) noexcept(std::is_nothrow_move_constructible_v<Storage>)
        : storage_{std::move(other.storage_)},
          bytes_of_{std::move(other.bytes_of_)},
          bytes_{std::exchange(other.bytes_, 0)},
          leased_bytes_{std::exchange(other.leased_bytes_, 0)} {}
    Weighed& operator=(Weighed&& other) noexcept(std::is_nothrow_move_assignable_v<Storage>) {
        if (this == &other) return *this;
        storage_ = std::move(other.storage_);
        bytes_of_ = std::move(other.bytes_of_);
        bytes_ = std::exchange(other.bytes_, 0);
        leased_bytes_ = std::exchange(other.leased_bytes_, 0);
        return *this;
    }

    /// Adds a value at the back. A value that was not taken is unchanged.
    [[nodiscard]] auto try_push(value_type&& value) noexcept {
        const std::uint64_t weight = weight_of(value);
        return weigh(weight, storage_.try_push(std::move(value)));
    }
    /// Adds a copy of a value.   Throws: what copying throws, and then nothing was added.
    [[nodiscard]] auto try_push(const value_type& value)
        requires detail::TakesPush<Storage, const value_type&>
    {
        return weigh(weight_of(value), storage_.try_push(value));
    }
    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<value_type> try_pop() {
        std::optional<value_type> value = storage_.try_pop();
        if (value) bytes_ -= weight_of(*value);
        return value;
    }

    /// Returns the oldest value, or null if there is none.
    [[nodiscard]] const value_type* front()
        requires detail::LeasesPointer<Storage>
    {
        const value_type* const leased = storage_.front();
        if (leased != nullptr) leased_bytes_ = weight_of(*leased);
        return leased;
    }
    /// Removes the leased value.   Pre: `front` leased a value.
    decltype(auto) ack() noexcept
        requires detail::LeasesPointer<Storage>
    {
        bytes_ -= std::exchange(leased_bytes_, 0);
        return storage_.ack();
    }
    /// Gives back the leased value.   Pre: `front` leased a value.
    decltype(auto) nack() noexcept
        requires detail::LeasesPointer<Storage>
    {
        leased_bytes_ = 0;
        return storage_.nack();
    }

    [[nodiscard]] std::size_t size() const noexcept { return storage_.size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return storage_.capacity(); }
    /// Returns the bytes of all waiting values, including the leased one.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

private:
    [[nodiscard]] std::uint64_t weight_of(const value_type& value) const noexcept {
        return bytes_of_(value) + sizeof(value_type);
    }
    template <class Answer>
    [[nodiscard]] Answer weigh(std::uint64_t weight, Answer answer) noexcept {
        if (!detail::error_of(answer, QueueErrc::queue_full)) bytes_ += weight;
        return answer;
    }

    Storage storage_;
    [[no_unique_address]] BytesOf bytes_of_;
    std::uint64_t bytes_ = 0;
    std::uint64_t leased_bytes_ = 0;
};

}}  // namespace belay
