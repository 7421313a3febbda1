// SPDX-License-Identifier: MIT
/// \file belay/core/completion.hpp
/// Completion and Question: how an answer that takes its time gets back to the machine that asked.
#pragma once

#include <atomic>       // std::atomic
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_invocable_v
#include <utility>      // std::move, std::forward

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/waker.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class V>
class Completion;

namespace detail {

/// What a question and its completion share: room for the answer, and how the asking side is told.
///
/// One side answers, or refuses, once, on any thread; the other takes it or loses interest, on its
/// own. No lock: the state says whose the value is, and no code of the user's runs under one.
template <class V>
class Answer : public Counted {
public:
    /// Whoever answers: keeps the value, and tells.   Throws: what moving the value throws; it is
    /// refused then.
    void settle(V&& value) {
        State expected = State::waiting;
        if (!state_.compare_exchange_strong(expected, State::writing)) return;
        struct Settled {
            Answer& answer;
            State to = State::refused;
            ~Settled() { answer.publish(to); }
        } settled{*this};
        value_.emplace(std::move(value));
        settled.to = State::answered;
    }
    /// Whoever answers: no.
    void refuse() noexcept {
        State expected = State::waiting;
        if (state_.compare_exchange_strong(expected, State::refused)) tell_(*this);
    }

    /// Whoever answers: whether it is still awaited.
    [[nodiscard]] bool wanted() const noexcept {
        return state_.load(std::memory_order_acquire) == State::waiting;
    }

    // ---- the asking side -----------------------------------------------------------------------

    [[nodiscard]] bool settled() const noexcept {
        const State state = state_.load(std::memory_order_acquire);
        return state == State::answered || state == State::refused;
    }
    /// Pre: settled().
    [[nodiscard]] std::optional<V> take() {
        std::optional<V> taken = std::move(value_);
        revoke();
        return taken;
    }
    /// Calls `f` with the answer where it is: no move that could throw.   Pre: settled().
    template <class F>
    void hand_to(F& f) noexcept {
        f(std::move(value_));
        revoke();
    }
    /// Nobody wants it any more.
    void revoke() noexcept {
        const State was = state_.exchange(State::over);
        // One that is just being written is destroyed by its writer.
        if (was != State::writing) value_.reset();
    }

    /// The last reference is gone; for Ref.
    void end() noexcept { destroy_(this); }

protected:
    using Tell = void (*)(Answer&) noexcept;
    using Destroy = void (*)(Answer*) noexcept;
    Answer(Tell tell, Destroy destroy) noexcept : tell_{tell}, destroy_{destroy} {}
    ~Answer() = default;

private:
    enum class State : std::uint8_t { waiting, writing, answered, refused, over };

    void publish(State to) noexcept {
        State expected = State::writing;
        if (state_.compare_exchange_strong(expected, to)) {
            tell_(*this);
        } else {
            value_.reset();
        }
    }

    const Tell tell_;
    const Destroy destroy_;
    std::atomic<State> state_{State::waiting};
    std::optional<V> value_;
};

/// An Answer that tells by calling `told(answer)`, on the thread that answers.
template <class V, class Told>
class ToldAnswer final : public Answer<V> {
public:
    template <class... A>
    explicit ToldAnswer(A&&... args)
        : Answer<V>{[](Answer<V>& a) noexcept { static_cast<ToldAnswer&>(a).told(a); },
                    [](Answer<V>* a) noexcept { delete static_cast<ToldAnswer*>(a); }},
          told{std::forward<A>(args)...} {}

    Told told;
};

/// Calls a function with the answer.
template <class F>
struct ToldByCall {
    F f;
    template <class V>
    void operator()(Answer<V>& answer) noexcept {
        answer.hand_to(f);
    }
};

/// Wakes the machine that asked, by the driver that it has when the answer comes.
class ToldByWaking {
public:
    explicit ToldByWaking(const driver::WakeHandle& wake) noexcept : wake_{wake} {}

    void attach(const driver::WakeHandle& wake) noexcept {
        // What is replaced goes outside of the lock.
        driver::WakeHandle next = wake;
        const SpinLock lock{mutex_};
        std::swap(wake_, next);
    }
    template <class V>
    void operator()(Answer<V>&) noexcept {
        driver::WakeHandle wake;
        {
            const SpinLock lock{mutex_};
            wake = wake_;
        }
        wake.wake();
    }

private:
    SpinMutex mutex_;
    driver::WakeHandle wake_;
};

/// The asking side, whatever wakes it; see driver::Question.
template <class V, class Told>
class Asking {
public:
    Asking() noexcept = default;
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
    ~Asking() { drop(); }

    template <class... A>
    [[nodiscard]] Completion<V> ask(A&&... told) {
        // Made first: without memory the older question stands.
        Ref<ToldAnswer<V, Told>> fresh = Ref<ToldAnswer<V, Told>>::make(std::forward<A>(told)...);
        drop();
        answer_ = fresh;
        return Completion<V>{Ref<Answer<V>>::adopt(fresh.release())};
    }
    [[nodiscard]] bool waits() const noexcept { return static_cast<bool>(answer_); }
    [[nodiscard]] bool answered() const noexcept { return answer_ && answer_->settled(); }
    [[nodiscard]] Instant deadline() const noexcept { return answered() ? always : never; }
    [[nodiscard]] std::optional<V> take() {
        BELAY_PRECONDITION(answered(), "Question::take: there must be an answer");
        const Ref<ToldAnswer<V, Told>> answer = std::move(answer_);
        return answer->take();
    }
    void drop() noexcept {
        if (answer_) answer_->revoke();
        answer_.reset();
    }

protected:
    Ref<ToldAnswer<V, Told>> answer_;
};

}  // namespace detail

/// Answers one question, once, from any thread; dropped unanswered it says "no".
///
/// Whoever is asked gets one, keeps it as long as the answer takes, and calls it: at once, later,
/// in another thread. It never runs code of the one who asked, but wakes it; if nobody wants the
/// answer any more, nothing happens. May outlive the one who asked, and its driver.
///
/// It may be made of a function, too: for those who pass a question on, and look at the answer on
/// its way back.
///
/// Thread safety: distinct objects safe.   Allocates: once, when the question is asked.
/// Size:          one pointer.
template <class V>
class [[nodiscard]] Completion {
public:
    using value_type = V;

    /// Made by driver::Question.
    explicit Completion(detail::Ref<detail::Answer<V>> answer) noexcept
        : answer_{std::move(answer)} {}
    /// Calls `f(std::optional<V>)` with the answer, once, nullopt for no: on the thread that
    /// answers, or drops it.
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, Completion> &&
                 std::is_invocable_v<std::decay_t<F>&, std::optional<V>>)
    explicit Completion(F&& f)
        : answer_{adopt(detail::Ref<Calling<F>>::make(
              detail::ToldByCall<std::decay_t<F>>{std::forward<F>(f)}))} {
        static_assert(std::is_nothrow_invocable_v<std::decay_t<F>&, std::optional<V>>,
                      "Completion: the function must be noexcept: dropping a Completion calls it");
    }
    Completion(Completion&&) noexcept = default;
    /// The one that is replaced is dropped.
    Completion& operator=(Completion&& other) noexcept {
        if (this != &other) {
            const Completion replaced{std::move(*this)};
            answer_ = std::move(other.answer_);
        }
        return *this;
    }
    ~Completion() {
        if (answer_) answer_->refuse();
    }

    /// The answer.   Pre: not answered yet.
    /// Throws: what moving the value throws; the answer is no, then.
    void operator()(V value) {
        BELAY_PRECONDITION(static_cast<bool>(answer_), "Completion: must be answered once only");
        const detail::Ref<detail::Answer<V>> answer = std::move(answer_);
        answer->settle(std::move(value));
    }

    /// Whether anybody waits for the answer. False is final: who has work to do for it may stop.
    [[nodiscard]] bool wanted() const noexcept { return answer_ && answer_->wanted(); }

private:
    template <class F>
    using Calling = detail::ToldAnswer<V, detail::ToldByCall<std::decay_t<F>>>;
    template <class A>
    [[nodiscard]] static detail::Ref<detail::Answer<V>> adopt(detail::Ref<A> answer) noexcept {
        return detail::Ref<detail::Answer<V>>::adopt(answer.release());
    }

    detail::Ref<detail::Answer<V>> answer_;
};

namespace driver {

/// The asking side of a Completion: a member of a machine, with room for one question.
///
/// In attach() the machine attaches it, as a MachineGroup; `deadline()` is part of the machine's,
/// and in
/// its turn it asks whether the question is answered. Asking again, and the end of the Question,
/// make the older question void: its answer is destroyed where it is given.
///
///     void attach(Waker w) { waker_ = std::move(w); token_.attach(waker_); }
///     Instant deadline() const noexcept { return token_.deadline(); }
///     void advance(Instant) { if (token_.answered()) use(token_.take()); }
///     void begin() { source_(token_.ask()); }
///
/// Without attach() nobody is woken; a test asks `answered()`.
///
/// Thread safety: home thread, but for the Completions.   Allocates: once for each question.
template <class V>
class Question : private detail::Asking<V, detail::ToldByWaking> {
    using Base = detail::Asking<V, detail::ToldByWaking>;

public:
    Question() noexcept = default;

    /// Whom answers wake from now on, those to a question that waits already included.
    void attach(const Waker& waker) noexcept {
        wake_ = waker.handle();
        if (this->answer_) this->answer_->told.attach(wake_);
    }
    /// Begins a question; an older one is void.   Throws: std::bad_alloc.
    [[nodiscard]] Completion<V> ask() { return Base::ask(wake_); }
    /// Whether a question was asked whose answer has not been taken.
    using Base::waits;
    /// Whether the answer is there, be it no; also when it came inside of the call that asked.
    using Base::answered;
    /// `always` if answered(), else `never`.
    using Base::deadline;
    /// The answer; nullopt for no, which is what a dropped Completion says.
    /// Pre: answered().   Throws: what moving the value throws.
    using Base::take;
    /// The question is void.
    using Base::drop;

private:
    WakeHandle wake_;
};

}  // namespace driver

}}  // namespace belay
