// SPDX-License-Identifier: MIT
/// \file belay/queue/encoded.hpp
/// Encoded: values of any type in a storage of bytes.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/detail/memory.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Stores values as bytes, through a codec, in a storage of bytes such as a Journal.
///
///     Queue queue{Encoded{std::move(journal), OrderCodec{}}};      // a durable queue of Order
///
/// If the codec has no bytes for a value, the value is rejected, and nothing is written.
///
/// If the codec makes no value of some bytes, they go to `DeadLetters`, a storage that takes Bytes.
/// The transfer is durable if that storage has a `flush` or a `commit`. The bytes are then removed
/// here, and the next value is the first. A crash between the two steps leaves the bytes in both
/// storages. An error while removing them may do the same; `front` returns it. No bytes are lost.
///
/// With KeepDead, and if the dead letter storage rejects them, the bytes stay the first. Then
/// `front` returns bad_encoding, and tries again when it is called again. Use `ack` to give the
/// bytes up, and `storage().front()` to read them as they are.
///
/// Models:        LeasableLike; FlushableLike if the storage does.
/// Thread safety: distinct objects safe, one thread at a time, even if the storage allows more.
/// Allocates:     to push, nothing once its buffer is as long as the longest value, if the storage
///                takes a BytesView; else a copy of the bytes. To pop, what the storage and the
///                codec allocate.
template <class Storage, class Codec, class DeadLetters = KeepDead>
class Encoded {
    // Not constraints, because the compiler's message for a failed one would hide the sentences.
    static_assert(explain::leasable_like<Storage>());
    static_assert(explain::codec_like<Codec>());
    static_assert(detail::DeadLetterStorage<DeadLetters>,
                  "Encoded: DeadLetters must be KeepDead or have 'try_push(Bytes&&)', which "
                  "returns bool or std::error_code");
    static constexpr bool takes_views = requires(Storage& storage, BytesView bytes) {
        { storage.try_push(bytes) } noexcept;
    };
    static_assert(takes_views || std::same_as<typename Storage::value_type, Bytes>,
                  "Encoded: the storage must store belay::Bytes, or take belay::BytesView in a "
                  "noexcept try_push");

public:
    using value_type = detail::DecodedBy<Codec>;

    explicit Encoded(Storage storage, Codec codec = Codec(), DeadLetters dead = DeadLetters())
        : storage_{std::move(storage)}, codec_{std::move(codec)}, dead_letters_{std::move(dead)} {}

    /// Adds a value at the back. The value is unchanged in any case.
    ///
    /// Errors: bad_encoding, if the codec rejects it or throws; not enough memory; those of the
    ///         storage.
    /// Complexity: that of the codec and the storage.
    [[nodiscard]] std::error_code try_push(const value_type& value) noexcept {
        std::error_code error;
        const bool done = detail::has_memory_for([&] { error = push_encoded(value); });
        return done ? error : std::make_error_code(std::errc::not_enough_memory);
    }

    /// Takes the oldest value, or the leased one, and ends the lease.
    ///
    /// The result is nothing if there is no value, or if `front` would return an error.
    ///
    /// Throws: std::bad_alloc; what the storages throw.
    [[nodiscard]] std::optional<value_type> try_pop() {
        Result<value_type> value = front();
        if (!value) return std::nullopt;
        // The storage's own pop takes the leased value, and its result shows whether the value is
        // gone. An error of ack does not show this, and after nack another value may be next.
        if (!storage_.try_pop()) return std::nullopt;
        return std::move(*value);
    }

    /// Returns a copy of the oldest value, which `ack` removes and `nack` keeps as the first.
    ///
    /// Until one of them is called, it returns the same value again.
    ///
    /// Errors: queue_empty, also if all waiting values became dead letters; bad_encoding: then
    ///         `ack` gives the value up; those of the storage.
    /// Throws: std::bad_alloc; what the storages throw.
    /// Complexity: that of the codec and the storages, also for each value that becomes a dead
    ///             letter.
    [[nodiscard]] Result<value_type> front() {
        for (;;) {
            // The lease of bytes that could not be decoded has not been ended yet.
            if (undecoded_) static_cast<void>(nack());
            auto&& body = storage_.front();
            if (!body) return detail::why_nothing(body);
            // Also if decoding throws.
            undecoded_ = true;
            std::optional<value_type> value = detail::decode_value(codec_, BytesView{*body});
            if (value) {
                undecoded_ = false;
                return std::move(*value);
            }
            if (const std::error_code error = move_to_dead_letters(BytesView{*body})) return error;
        }
    }
    /// Removes the oldest value, including one that cannot be decoded.   Pre: there is one.
    ///
    /// Errors: those of the storage.
    decltype(auto) ack() noexcept {
        undecoded_ = false;
        letter_.reset();
        return storage_.ack();
    }
    /// Keeps the oldest value as the first.   Errors: those of the storage.
    decltype(auto) nack() noexcept {
        undecoded_ = false;
        return storage_.nack();
    }

    /// Returns that of the storage.
    [[nodiscard]] std::size_t size() const noexcept { return storage_.size(); }
    /// Returns that of the storage.
    [[nodiscard]] std::size_t capacity() const noexcept { return storage_.capacity(); }

    // Optional members of a storage. They are templates, so that Clang 14 ignores them if the
    // storage does not have them.

    /// Returns the result of the storage's function.
    template <class S = Storage>
        requires detail::CountsBytes<S>
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return storage_.bytes();
    }
    /// Returns the result of the storage's function.
    template <class S = Storage>
        requires detail::FreesSegments<S>
    [[nodiscard]] std::size_t segment_bytes() const noexcept {
        return storage_.segment_bytes();
    }
    /// Returns the result of the storage's function.
    template <class S = Storage>
        requires detail::HasStorageCommit<S>
    [[nodiscard]] std::error_code commit() noexcept {
        return storage_.commit();
    }
    /// Returns the result of the storage's function.
    template <class S = Storage>
        requires detail::HasFlush<S>
    [[nodiscard]] std::error_code flush() noexcept {
        return storage_.flush();
    }
    /// Returns the result of the storage's function.
    template <class S = Storage>
        requires detail::HasUnflushed<S>
    [[nodiscard]] bool unflushed() const noexcept {
        return storage_.unflushed();
    }

    /// Returns the storage of bytes. Do not change its values while one is leased.
    [[nodiscard]] Storage& storage() noexcept { return storage_; }
    [[nodiscard]] const Storage& storage() const noexcept { return storage_; }
    /// Returns where values go that cannot be read.
    [[nodiscard]] DeadLetters& dead_letters() noexcept { return dead_letters_; }

private:
    [[nodiscard]] std::error_code push_encoded(const value_type& value) {
        buffer_.clear();
        if (!detail::encode_value(codec_, value, buffer_)) {
            return make_error_code(QueueErrc::bad_encoding);
        }
        if constexpr (takes_views) {
            return detail::error_of(storage_.try_push(BytesView{buffer_}), QueueErrc::queue_full);
        } else {
            return detail::error_of(storage_.try_push(Bytes(buffer_)), QueueErrc::queue_full);
        }
    }

    /// Moves the leased bytes to the dead letters. Returns an error if they are, or may be, still
    /// here.
    [[nodiscard]] std::error_code move_to_dead_letters(BytesView body) {
        if constexpr (std::same_as<DeadLetters, KeepDead>) {
            return make_error_code(QueueErrc::bad_encoding);
        } else {
            // A letter that was taken, but is not durable or not removed here, is not pushed again.
            Bytes letter = to_bytes(body);
            if (letter_ != letter) {
                if (!detail::push_dead_letter(dead_letters_, letter)) {
                    return make_error_code(QueueErrc::bad_encoding);
                }
                letter_ = std::move(letter);
            }
            if (!detail::flush_dead_letters(dead_letters_)) {
                return make_error_code(QueueErrc::bad_encoding);
            }
            undecoded_ = false;
            const std::size_t before = storage_.size();
            const std::error_code error =
                detail::error_of_call(QueueErrc::queue_empty, [&] { return storage_.ack(); });
            // An error does not show whether the bytes are gone. A journal without space gives them
            // up, and after lease_ended another consumer did. The next value may have the same
            // bytes.
            if (!error || error == QueueErrc::lease_ended || storage_.size() < before) {
                letter_.reset();
            }
            return error;
        }
    }

    Storage storage_;
    [[no_unique_address]] Codec codec_;
    [[no_unique_address]] DeadLetters dead_letters_;
    std::optional<Bytes> letter_;  // the last one that was taken, until it is removed here
    Bytes buffer_;
    bool undecoded_ = false;  // the storage leases bytes that are no value
};

}}  // namespace belay
