// SPDX-License-Identifier: MIT
/// \file belay/queue/encoded.hpp
/// Encoded: values of any type in a storage of bytes.
#pragma once

#include <new>       // std::bad_alloc
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/result.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/queue/dead_letters.hpp>
#include <belay/queue/detail/storage_calls.hpp>
#include <belay/queue/flushable_like.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Keeps values as bytes, through a codec, in a storage of bytes such as a Journal.
///
///     Queue queue{Encoded{std::move(journal), OrderCodec{}}};      // a durable queue of Order
///
/// A value for which the codec has no bytes is refused, and nothing is written. Bytes of which it
/// makes no value go to `DeadLetters`, a storage that takes Bytes, durably if that has a `flush` or
/// a `commit`; then they are removed here, and the next value is the first. A crash between the two
/// leaves them in both, and so may an error of removing them, which `front` answers; none are lost.
/// With KeepDead, and if they are refused, they stay the first: `front` says bad_encoding, and
/// tries again when it is called again; `ack` gives them up, and `storage().front()` has them as
/// they are.
///
/// Models:        LeasableLike; FlushableLike if the storage does.
/// Thread safety: distinct objects safe, one thread at a time, whatever the storage allows.
/// Allocates:     nothing to push, once its buffer is as long as the longest value, where the
///                storage takes a BytesView; else a copy of the bytes. To pop, what the storage
///                and the codec do.
template <class Storage, class Codec, class DeadLetters = KeepDead>
class Encoded {
    // Not constraints: the compilers' words for a failed one would hide the sentences.
    static_assert(explain::leasable_like<Storage>());
    static_assert(explain::codec_like<Codec>());
    static_assert(detail::TakesDead<DeadLetters>,
                  "Encoded: DeadLetters must be KeepDead or have 'try_push(Bytes&&)', which "
                  "answers bool or std::error_code");
    static constexpr bool takes_views = detail::TakesPush<Storage, BytesView>;
    static_assert(takes_views || std::same_as<typename Storage::value_type, Bytes>,
                  "Encoded: the storage must take belay::BytesView or keep belay::Bytes");

public:
    using value_type = detail::DecodedBy<Codec>;

    explicit Encoded(Storage storage, Codec codec = Codec(), DeadLetters dead = DeadLetters())
        : storage_{std::move(storage)}, codec_{std::move(codec)}, dead_letters_{std::move(dead)} {}

    /// Adds a value at the back. It is left as it was, in any case.
    ///
    /// Errors: bad_encoding, if the codec refuses it or throws; not enough memory; those of the
    ///         storage.   Complexity: that of the codec and the storage.
    [[nodiscard]] std::error_code try_push(const value_type& value) noexcept {
#if defined(__cpp_exceptions)
        try {
            return push_encoded(value);
        } catch (const std::bad_alloc&) {
            return std::make_error_code(std::errc::not_enough_memory);
        } catch (...) {
            return make_error_code(QueueErrc::bad_encoding);
        }
#else
        return push_encoded(value);
#endif
    }

    /// Takes the oldest value, or what is lent, and ends the loan; nothing if there is none, or
    /// `front` would say why.
    ///
    /// Throws: std::bad_alloc; what the storages throw.
    [[nodiscard]] std::optional<value_type> try_pop() {
        Result<value_type> value = front();
        if (!value) return std::nullopt;
        // The storage's own pop takes what is lent, and knows whether it is gone; an error of ack
        // does not tell, and after nack another value may have its turn.
        if (!storage_.try_pop()) return std::nullopt;
        return std::move(*value);
    }

    /// A copy of the oldest value; `ack` removes it, `nack` leaves it the first. Until one of them
    /// is called it is the same value again.
    ///
    /// Errors: queue_empty, also when all that waited became dead letters; bad_encoding: then `ack`
    ///         gives it up; those of the storage.
    /// Throws: std::bad_alloc; what the storages throw.
    /// Complexity: that of the codec and the storages, for each value that becomes a dead letter
    /// too.
    [[nodiscard]] Result<value_type> front() {
        for (;;) {
            // Of what could not be decoded nobody has ended the loan.
            if (undecoded_) static_cast<void>(nack());
            auto&& body = storage_.front();
            if (!body) return detail::why_nothing(body);
            // Also if decoding throws.
            undecoded_ = true;
            std::optional<value_type> value = decode(BytesView{*body});
            if (value) {
                undecoded_ = false;
                return std::move(*value);
            }
            if (const std::error_code error = bury(BytesView{*body})) return error;
        }
    }
    /// Removes the oldest value, also one that cannot be decoded.   Pre: there is one.
    ///
    /// Errors: those of the storage.
    decltype(auto) ack() noexcept {
        undecoded_ = false;
        letter_.reset();
        return storage_.ack();
    }
    /// Leaves the oldest value the first.   Errors: those of the storage.
    decltype(auto) nack() noexcept {
        undecoded_ = false;
        return storage_.nack();
    }

    [[nodiscard]] std::size_t size() const noexcept { return storage_.size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return storage_.capacity(); }

    // What a storage may have beside; templates, so that Clang 14 leaves them alone where it has
    // not.

    /// As the storage's.
    template <class S = Storage>
        requires detail::CountsBytes<S>
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return storage_.bytes();
    }
    /// As the storage's.
    template <class S = Storage>
        requires detail::HasStorageCommit<S>
    [[nodiscard]] std::error_code commit() noexcept {
        return storage_.commit();
    }
    /// As the storage's.
    template <class S = Storage>
        requires detail::HasFlush<S>
    [[nodiscard]] std::error_code flush() noexcept {
        return storage_.flush();
    }
    /// As the storage's.
    template <class S = Storage>
        requires detail::HasUnflushed<S>
    [[nodiscard]] bool unflushed() const noexcept {
        return storage_.unflushed();
    }

    /// The bytes. What changes them while a value is lent is not for others.
    [[nodiscard]] Storage& storage() noexcept { return storage_; }
    [[nodiscard]] const Storage& storage() const noexcept { return storage_; }
    [[nodiscard]] DeadLetters& dead_letters() noexcept { return dead_letters_; }

private:
    [[nodiscard]] std::error_code push_encoded(const value_type& value) {
        buffer_.clear();
        if (!codec_.encode(value, buffer_)) return make_error_code(QueueErrc::bad_encoding);
        if constexpr (takes_views) {
            return detail::error_of(storage_.try_push(BytesView{buffer_}), QueueErrc::queue_full);
        } else {
            return detail::error_of(storage_.try_push(Bytes(buffer_)), QueueErrc::queue_full);
        }
    }

    [[nodiscard]] std::optional<value_type> decode(BytesView bytes) {
#if defined(__cpp_exceptions)
        try {
            return codec_.decode(bytes);
        } catch (const std::bad_alloc&) {
            throw;
        } catch (...) {
            return std::nullopt;
        }
#else
        return codec_.decode(bytes);
#endif
    }

    /// Moves what is lent to the dead letters; the error if it is still here, or may be.
    [[nodiscard]] std::error_code bury(BytesView body) {
        if constexpr (std::same_as<DeadLetters, KeepDead>) {
            return make_error_code(QueueErrc::bad_encoding);
        } else {
            // A letter that was taken, but is not durable or not gone here, is not pushed again.
            Bytes letter(body.begin(), body.end());
            if (letter_ != letter) {
                if (!detail::push_letter(dead_letters_, letter)) {
                    return make_error_code(QueueErrc::bad_encoding);
                }
                letter_ = std::move(letter);
            }
            if (!detail::sync_letters(dead_letters_)) {
                return make_error_code(QueueErrc::bad_encoding);
            }
            undecoded_ = false;
            const std::size_t before = storage_.size();
            const std::error_code error =
                detail::error_of_call(QueueErrc::queue_empty, [&] { return storage_.ack(); });
            // An error does not tell whether it is gone: a journal without space gives it up, and
            // of lease_ended another consumer did. The next one may have the same bytes.
            if (!error || error == QueueErrc::lease_ended || storage_.size() < before) {
                letter_.reset();
            }
            return error;
        }
    }

    Storage storage_;
    [[no_unique_address]] Codec codec_;
    [[no_unique_address]] DeadLetters dead_letters_;
    std::optional<Bytes> letter_;  // the last one that was taken, until it is gone here
    Bytes buffer_;
    bool undecoded_ = false;  // the storage lends what is no value
};

}}  // namespace belay
