// SPDX-License-Identifier: MIT
/// \file belay/room/detail/guarded_persistence.hpp
/// GuardedPersistence: a user's persistence whose exceptions are failed calls.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <exception>     // std::current_exception, std::rethrow_exception
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/core/completion.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The persistence of a room server. An exception of a call would leave a turn in the middle, with
/// a change that is lost or a client that waits for nothing. So it becomes the error of that call:
/// RoomErrc::persistence_threw, or no answer where a Completion was passed. A call that has no
/// error is reported to `on_room_failed`. `take_exception_text` returns the text of the exception.
///
/// Thread safety: the manager's home thread.
template <class P>
class GuardedPersistence {
public:
    GuardedPersistence(TurnContext& context, P persistence)
        : context_{context}, inner_{std::move(persistence)} {}

    [[nodiscard]] P& inner() noexcept { return inner_; }
    /// Returns the text of the exception of the last call; empty if that call threw none.
    [[nodiscard]] std::string take_exception_text() { return std::exchange(what_, {}); }

    /// `change` is for a storage that several servers share.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update,
                                         const part::ChangeId& change) {
        return result([&] {
            if constexpr (FanoutLike<P>) return inner_.append(id, update, change);
            return inner_.append(id, update);
        });
    }
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return result([&] { return inner_.reset(id, epoch); });
    }
    /// `again` is for a storage that several servers share.
    [[nodiscard]] std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        return result([&] {
            if constexpr (FanoutLike<P>) return inner_.begin(id, epoch, again);
            return inner_.reset(id, epoch);
        });
    }
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return result([&] { return inner_.erase(id); });
    }
    [[nodiscard]] std::vector<std::string> rooms_to_save() {
#if defined(__cpp_exceptions)
        try {
            return inner_.rooms_to_save();
        } catch (...) {
            report({}, text_of(std::current_exception()));
            return {};
        }
#else
        return inner_.rooms_to_save();
#endif
    }

    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        call([&] { inner_.load(id, std::move(done)); });
    }
    void flush(Completion<part::FlushedRooms> done) {
        call([&] { inner_.flush(std::move(done)); });
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        call([&] { inner_.save(id, snapshot, covers, std::move(done)); });
    }
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        call([&] { inner_.list(after, count, std::move(done)); });
    }
    void publish(std::string_view id, BytesView message) {
#if defined(__cpp_exceptions)
        try {
            inner_.publish(id, message);
        } catch (...) {
            report(std::string{id}, text_of(std::current_exception()));
        }
#else
        inner_.publish(id, message);
#endif
    }
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        call([&] { inner_.subscribe(id, epoch, from, std::move(done)); });
    }

private:
    void report(const std::string& room_id, std::string what) {
        context_.report_failure(room_id, {RoomErrc::persistence_threw, {}, std::move(what)});
    }
#if defined(__cpp_exceptions)
    [[nodiscard]] static std::string text_of(const std::exception_ptr& thrown) {
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& error) {
            return error.what();
        } catch (...) {
            return "an exception that is no std::exception";
        }
    }
#endif
    template <class F>
    [[nodiscard]] std::error_code result(F&& f) {
#if defined(__cpp_exceptions)
        what_.clear();
        try {
            return f();
        } catch (...) {
            what_ = text_of(std::current_exception());
            return make_error_code(RoomErrc::persistence_threw);
        }
#else
        return f();
#endif
    }
    /// The Completion that was passed is destroyed with the exception, which answers it with "no".
    template <class F>
    void call(F&& f) {
#if defined(__cpp_exceptions)
        what_.clear();
        try {
            f();
        } catch (...) {
            what_ = text_of(std::current_exception());
        }
#else
        f();
#endif
    }

    TurnContext& context_;
    P inner_;
    std::string what_{};  // of the exception of the last call
};

}}}  // namespace belay::detail
