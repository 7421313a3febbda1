// SPDX-License-Identifier: MIT
/// \file belay/link/detail/question_await.hpp
/// QuestionAwait: a coroutine that waits for the answer to its question.
#pragma once

#include <cstdint>   // std::uint64_t
#include <optional>  // std::optional
#include <utility>   // std::exchange, std::move

#include <belay/core/failure.hpp>
#include <belay/core/result.hpp>
#include <belay/link/requests_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The awaiter of Requests::ask(), in a coroutine's frame. It needs no <coroutine>, because it is
/// given the handle.
template <class Requests>
class [[nodiscard]] QuestionAwait {
    using M = typename Requests::message_type;
    using Answer = Result<M, Failure>;

    /// The `done` of the question. It and the awaiter have each other's address, because either may
    /// be destroyed first.
    struct Done {
        QuestionAwait* await;

        explicit Done(QuestionAwait& a) noexcept : await{&a} { a.done_ = this; }
        Done(Done&& other) noexcept : await{std::exchange(other.await, nullptr)} {
            if (await != nullptr) await->done_ = this;
        }
        Done& operator=(Done&&) = delete;
        ~Done() {
            if (await != nullptr) await->done_ = nullptr;
        }
        void operator()(Answer answer) {
            QuestionAwait* const to = std::exchange(await, nullptr);
            if (to == nullptr) return;
            to->done_ = nullptr;
            to->answer_.emplace(std::move(answer));
            to->resume_(to->coroutine_);  // may destroy both
        }
    };

public:
    QuestionAwait(Requests& requests, M&& message, Duration within,
                  RequestsOptions::OnLoss on_loss) noexcept
        : requests_{requests}, message_{std::move(message)}, within_{within}, on_loss_{on_loss} {}
    QuestionAwait(const QuestionAwait&) = delete;
    QuestionAwait& operator=(const QuestionAwait&) = delete;
    ~QuestionAwait() {
        if (done_ == nullptr) return;
        done_->await = nullptr;
        requests_.cancel(question_);
    }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Coroutine>
    [[nodiscard]] bool await_suspend(Coroutine coroutine) {
        coroutine_ = coroutine.address();
        resume_ = [](void* at) { Coroutine::from_address(at).resume(); };
        const Result<std::uint64_t> asked =
            requests_.ask(std::move(message_), within_, Done{*this}, on_loss_);
        if (!asked) {
            answer_.emplace(Answer::failure(Failure::from(asked.error())));
            return false;
        }
        question_ = *asked;
        return true;
    }
    [[nodiscard]] Answer await_resume() { return std::move(*answer_); }

private:
    Requests& requests_;
    M message_;
    Duration within_;
    RequestsOptions::OnLoss on_loss_;
    Done* done_ = nullptr;  // null: not asked, or done with
    std::uint64_t question_ = 0;
    void* coroutine_ = nullptr;
    void (*resume_)(void*) = nullptr;
    std::optional<Answer> answer_{};
};

}}}  // namespace belay::detail
