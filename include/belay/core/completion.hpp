// SPDX-License-Identifier: MIT
/// \file belay/core/completion.hpp
/// Completion and Question: how an answer that takes time returns to the machine that asked.
#pragma once

#include <atomic>       // std::atomic
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_invocable_v
#include <utility>      // std::move, std::forward

#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/machine_like.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class V>
class Completion;

namespace detail {

/// The state that a question and its completion share: the answer, and how to notify the asking
/// side.
///
/// One side answers or rejects, once, on any thread. The other side takes the answer, or revokes
/// the question, on its own thread. There is no lock: the state decides which side owns the value,
/// and no user code runs under a lock.
template <class V>
class Answer : public Counted {
public:
    /// For the answering side: stores the value and notifies the asking side.
    /// Throws: what moving the value throws; the question is then rejected.
    void settle(V&& value) {
        State expected = State::waiting;
        if (!state_.compare_exchange_strong(expected, State::writing)) return;
        State to = State::rejected;
        const ScopeExit settled{[&] { publish(to); }};
        value_.emplace(std::move(value));
        to = State::answered;
    }
    /// For the answering side: rejects the question.
    void reject() noexcept {
        State expected = State::waiting;
        if (state_.compare_exchange_strong(expected, State::rejected)) notify_(*this);
    }

    /// For the answering side: returns whether the answer is still wanted.
    [[nodiscard]] bool wanted() const noexcept {
        return state_.load(std::memory_order_acquire) == State::waiting;
    }

    // ---- the asking side -----------------------------------------------------------------------

    [[nodiscard]] bool settled() const noexcept {
        const State state = state_.load(std::memory_order_acquire);
        return state == State::answered || state == State::rejected;
    }
    /// Pre: settled().
    [[nodiscard]] std::optional<V> take() {
        std::optional<V> taken = std::move(value_);
        revoke();
        return taken;
    }
    /// Calls `f` with the answer in place, without a move that could throw.   Pre: settled().
    template <class F>
    void hand_to(F& f) noexcept {
        f(std::move(value_));
        revoke();
    }
    /// Marks the answer as no longer wanted.
    void revoke() noexcept {
        const State was = state_.exchange(State::over);
        // If the other side is just writing the value, that side destroys it.
        if (was != State::writing) value_.reset();
    }

    /// Destroys this object after its last reference is gone; for Ref.
    void end() noexcept { destroy_(this); }

protected:
    using Notify = void (*)(Answer&) noexcept;
    using Destroy = void (*)(Answer*) noexcept;
    Answer(Notify notify, Destroy destroy) noexcept : notify_{notify}, destroy_{destroy} {}
    ~Answer() = default;

private:
    enum class State : std::uint8_t { waiting, writing, answered, rejected, over };

    void publish(State to) noexcept {
        State expected = State::writing;
        if (state_.compare_exchange_strong(expected, to)) {
            notify_(*this);
        } else {
            value_.reset();
        }
    }

    const Notify notify_;
    const Destroy destroy_;
    std::atomic<State> state_{State::waiting};
    std::optional<V> value_;
};

/// An Answer that notifies by calling `notifier(answer)` on the thread that answers.
template <class V, class Notifier>
class NotifyingAnswer final : public Answer<V> {
public:
    template <class... A>
    explicit NotifyingAnswer(A&&... args)
        : Answer<V>{[](Answer<V>& a) noexcept { static_cast<NotifyingAnswer&>(a).notifier(a); },
                    [](Answer<V>* a) noexcept { delete static_cast<NotifyingAnswer*>(a); }},
          notifier{std::forward<A>(args)...} {}

    Notifier notifier;
};

/// Calls a function with the answer.
template <class F>
struct NotifyByCall {
    F f;
    template <class V>
    void operator()(Answer<V>& answer) noexcept {
        answer.hand_to(f);
    }
};

/// Wakes the machine that asked, through the driver that it has when the answer arrives.
class NotifyByWaking {
public:
    explicit NotifyByWaking(const driver::WakeHandle& wake) noexcept : wake_{wake} {}

    void attach(const driver::WakeHandle& wake) noexcept {
        // The replaced handle is destroyed outside the lock.
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

/// The asking side, independent of how it is woken; see driver::Question.
template <class V, class Notifier>
class Asking {
public:
    Asking() noexcept = default;
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
    ~Asking() { drop(); }

    template <class... A>
    [[nodiscard]] Completion<V> ask(A&&... args) {
        // The new question is made first, so that the older one stays valid if there is no memory.
        Ref<NotifyingAnswer<V, Notifier>> fresh =
            Ref<NotifyingAnswer<V, Notifier>>::make(std::forward<A>(args)...);
        drop();
        answer_ = fresh;
        return Completion<V>{Ref<Answer<V>>::adopt(fresh.release())};
    }
    [[nodiscard]] bool waits() const noexcept { return static_cast<bool>(answer_); }
    [[nodiscard]] bool answered() const noexcept { return answer_ && answer_->settled(); }
    [[nodiscard]] Instant deadline() const noexcept { return answered() ? always : never; }
    [[nodiscard]] std::optional<V> take() {
        BELAY_PRECONDITION(answered(), "Question::take: the answer must have arrived");
        const Ref<NotifyingAnswer<V, Notifier>> answer = std::move(answer_);
        return answer->take();
    }
    void drop() noexcept {
        if (answer_) answer_->revoke();
        answer_.reset();
    }

protected:
    Ref<NotifyingAnswer<V, Notifier>> answer_;
};

}  // namespace detail

/// Answers one question, once, from any thread.
///
/// The side that must answer receives a Completion and keeps it as long as the answer takes. It
/// calls the Completion at once, later, or on another thread. Dropping a Completion without an
/// answer means "no". A Completion is moved, and not copied. For a std::function, put it into a
/// std::shared_ptr.
///
/// A Completion of a Question never runs code of the asking side; it only wakes the machine. If the
/// answer is no longer wanted, nothing happens. A Completion may outlive the asking side and its
/// driver.
///
/// You can also make a Completion from a function, to pass a question on and look at the answer on
/// its way back.
///
/// Thread safety: distinct objects safe.   Allocates: once, when the question is asked.
/// Size:          one pointer.
template <class V>
class [[nodiscard]] Completion {
public:
    using value_type = V;

    /// For driver::Question: makes the completion of one question.
    explicit Completion(detail::Ref<detail::Answer<V>> answer) noexcept
        : answer_{std::move(answer)} {}
    /// Makes a completion that calls `f(std::optional<V>)` once with the answer, where nullopt
    /// means no. Pass such a function in the place of a Completion:
    ///
    ///     rooms.erase("plan", [](auto error) noexcept { report(error); });
    ///
    /// The call runs on the thread that answers or drops the completion.
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, Completion> &&
                 std::is_invocable_v<std::decay_t<F>&, std::optional<V>>)
    Completion(F&& f)
        : answer_{adopt(detail::Ref<Calling<F>>::make(
              detail::NotifyByCall<std::decay_t<F>>{std::forward<F>(f)}))} {
        static_assert(std::is_nothrow_invocable_v<std::decay_t<F>&, std::optional<V>>,
                      "Completion: the function must be noexcept, because the destructor of a "
                      "Completion calls it");
        static_assert(std::is_void_v<std::invoke_result_t<std::decay_t<F>&, std::optional<V>>>,
                      "Completion: the function must return void, because a result would be "
                      "ignored and a coroutine would never run");
    }
    Completion(Completion&&) noexcept = default;
    /// Drops the completion that is replaced.
    Completion& operator=(Completion&& other) noexcept {
        if (this != &other) {
            const Completion replaced{std::move(*this)};
            answer_ = std::move(other.answer_);
        }
        return *this;
    }
    ~Completion() {
        if (answer_) answer_->reject();
    }

    /// Gives the answer.   Pre: not answered yet.
    /// Throws: what moving the value throws; the answer is then no.
    void operator()(V value) {
        BELAY_PRECONDITION(static_cast<bool>(answer_),
                           "Completion: the completion must be answered only once");
        const detail::Ref<detail::Answer<V>> answer = std::move(answer_);
        answer->settle(std::move(value));
    }

    /// Returns whether the answer is still wanted. False is final: work for the answer may stop.
    [[nodiscard]] bool wanted() const noexcept { return answer_ && answer_->wanted(); }

private:
    template <class F>
    using Calling = detail::NotifyingAnswer<V, detail::NotifyByCall<std::decay_t<F>>>;
    template <class A>
    [[nodiscard]] static detail::Ref<detail::Answer<V>> adopt(detail::Ref<A> answer) noexcept {
        return detail::Ref<detail::Answer<V>>::adopt(answer.release());
    }

    detail::Ref<detail::Answer<V>> answer_;
};

namespace driver {

/// The asking side of a Completion, with space for one question.
///
/// A Question is a member of a machine. The machine attaches it in attach(), as it does a
/// MachineGroup. The machine's `deadline()` includes the Question's `deadline()`, and in its turn
/// the machine calls `answered()`. A new question makes the older one void, and so does the end of
/// the Question. The answer to a void question is destroyed where it is given.
///
///     void attach(Waker w) { waker_ = std::move(w); token_.attach(waker_); }
///     Instant deadline() const noexcept { return token_.deadline(); }
///     void advance(Instant) { if (token_.answered()) use(token_.take()); }
///     void begin() { source_(token_.ask()); }
///
/// Without attach(), an answer wakes nothing; a test can call `answered()`.
///
/// Thread safety: home thread, except for the Completions.   Allocates: once for each question.
template <class V>
class Question : private detail::Asking<V, detail::NotifyByWaking> {
    using Base = detail::Asking<V, detail::NotifyByWaking>;

public:
    Question() noexcept = default;

    /// Sets the machine that answers wake from now on, including the answer to a question that
    /// already waits.
    void attach(const Waker& waker) noexcept {
        wake_ = waker.handle();
        if (this->answer_) this->answer_->notifier.attach(wake_);
    }
    /// Starts a question and makes an older one void.   Throws: std::bad_alloc.
    [[nodiscard]] Completion<V> ask() { return Base::ask(wake_); }
    /// Returns whether a question was asked whose answer has not been taken.
    using Base::waits;
    /// Returns whether there is an answer, which may be no, and may be given inside the call that
    /// asked.
    using Base::answered;
    /// Returns `always` if answered(), else `never`.
    using Base::deadline;
    /// Takes the answer; nullopt means no, which is also the answer of a dropped Completion.
    /// Pre: answered().   Throws: what moving the value throws.
    using Base::take;
    /// Makes the question void.
    using Base::drop;

private:
    WakeHandle wake_;
};

}  // namespace driver

}}  // namespace belay
