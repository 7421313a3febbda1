// SPDX-License-Identifier: MIT
/// \file belay/room/detail/fair_queue.hpp
/// FairQueue: work of users that waits for one of a limited number of places.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <map>       // std::map
#include <optional>  // std::nullopt, std::optional
#include <set>       // std::set
#include <utility>   // std::move, std::pair
#include <vector>    // std::vector

#include <belay/core/detail/memory.hpp>
#include <belay/room/detail/account.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Work that waits for a place, and the work that is under way. `Item` identifies it.
///
/// The user with the least work under way is next; of several, the one who has waited for longest
/// since its last turn. So a user without work under way goes before all that have some, and waits
/// for one work of each other user without any. Users with work under way, however many, leave a
/// quarter of the places to users without, so work of one user that hangs does not delay another
/// one. The work of one user begins in the order of the requests. Work may be of several users: it
/// begins in the first turn of any of them.
///
/// Work without a user has no limit of its own, and counts for no user.
///
/// Complexity:    O(log n), and for each user of the work.
/// Thread safety: the manager's home thread.
template <class Item>
class FairQueue {
public:
    explicit FairQueue(std::size_t places) noexcept : places_{places} {}
    FairQueue(const FairQueue&) = delete;
    FairQueue& operator=(const FairQueue&) = delete;

    /// Whether nothing waits.
    [[nodiscard]] bool empty() const noexcept { return waiting_.empty(); }
    /// Whether work may begin now.
    [[nodiscard]] bool has_next() const noexcept {
        return !turns_.empty() && has_place(turns_.begin()->first.first);
    }
    /// Whether work of this user may begin now, if nothing of the user waits.
    [[nodiscard]] bool may_begin(const Ref<Account>& user) const noexcept {
        const auto found = users_.find(number_of(user));
        return has_place(found != users_.end() ? found->second.under_way : 0);
    }
    /// Begins work that has not waited.   Returns: its number, which is not 0.
    std::uint64_t begin(const Ref<Account>& user) {
        begin(user_of(user), ++last_number_);
        return last_number_;
    }
    /// Adds work.   Returns: its number, which is not 0.
    std::uint64_t push(Item item, const Ref<Account>& user) {
        waiting_.emplace(++last_number_, Waiting{std::move(item)});
        share(last_number_, user);
        return last_number_;
    }
    /// One more user waits for this work. Work that does not wait is ignored.
    void share(std::uint64_t number, const Ref<Account>& account) {
        const auto found = waiting_.find(number);
        if (found == waiting_.end()) return;
        User& user = user_of(account);
        if (!user.waiting.insert(number).second) return;
        found->second.users.push_back(&user);
        if (user.waiting.size() != 1) return;
        user.turn = ++last_turn_;
        turns_.emplace(Turn{user.under_way, user.turn}, &user);
    }
    /// Returns the work that begins next.   Pre: has_next().
    [[nodiscard]] const Item& next() const noexcept { return next_waiting()->second.item; }
    [[nodiscard]] std::uint64_t next_number() const noexcept { return next_waiting()->first; }
    /// Begins it.   Pre: has_next().
    Item take_next() {
        User& user = *turns_.begin()->second;
        const std::uint64_t number = next_number();
        begin(user, number);
        move_turn(user, user.under_way, ++last_turn_);
        return take(waiting_.find(number));
    }
    /// Returns the work that waits for longest; null if nothing waits.
    [[nodiscard]] const Item* oldest() const noexcept {
        return waiting_.empty() ? nullptr : &waiting_.begin()->second.item;
    }
    /// Work has ended, or does not wait any more.
    void remove(std::uint64_t number) noexcept {
        if (const auto found = under_way_.find(number); found != under_way_.end()) {
            User& user = *found->second;
            under_way_.erase(found);
            if (user.account) move_turn(user, user.under_way - 1, user.turn);
            forget_idle(user);
        } else if (const auto queued = waiting_.find(number); queued != waiting_.end()) {
            static_cast<void>(take(queued));
        }
    }

private:
    using Turn = std::pair<std::size_t, std::uint64_t>;  // the work under way, and the turn
    struct User {
        Ref<Account> account;
        std::size_t under_way = 0;
        std::uint64_t turn = 0;
        std::set<std::uint64_t> waiting{};  ///< the numbers of the work
    };
    struct Waiting {
        Item item;
        std::vector<User*> users{};
    };
    using WaitingWork = std::map<std::uint64_t, Waiting>;  // in the order of the requests

    [[nodiscard]] bool has_place(std::size_t own) const noexcept {
        return under_way_.size() < (own == 0 ? places_ : three_quarters(places_));
    }
    [[nodiscard]] typename WaitingWork::const_iterator next_waiting() const noexcept {
        return waiting_.find(*turns_.begin()->second->waiting.begin());
    }
    [[nodiscard]] User& user_of(const Ref<Account>& account) {
        return users_.try_emplace(number_of(account), User{account}).first->second;
    }
    [[nodiscard]] static std::uint64_t number_of(const Ref<Account>& account) noexcept {
        return account ? account->number : 0;
    }
    void begin(User& user, std::uint64_t number) {
        under_way_.emplace(number, &user);
        if (user.account) move_turn(user, user.under_way + 1, user.turn);
    }
    /// Changes the place of a user among those that wait, if it waits.
    void move_turn(User& user, std::size_t under_way, std::uint64_t turn) noexcept {
        auto node = turns_.extract(Turn{user.under_way, user.turn});
        user.under_way = under_way;
        user.turn = turn;
        if (node.empty()) return;
        node.key() = Turn{under_way, turn};
        turns_.insert(std::move(node));
    }
    /// Takes work out of the turns of its users.
    [[nodiscard]] Item take(typename WaitingWork::iterator found) noexcept {
        for (User* const user : found->second.users) {
            user->waiting.erase(found->first);
            if (user->waiting.empty()) turns_.erase(Turn{user->under_way, user->turn});
            forget_idle(*user);
        }
        Item item = std::move(found->second.item);
        waiting_.erase(found);
        return item;
    }
    /// Without a user, the work under way is not counted, so such a user stays.
    void forget_idle(const User& user) noexcept {
        if (user.account && user.under_way == 0 && user.waiting.empty())
            users_.erase(number_of(user.account));
    }

    const std::size_t places_;
    std::map<std::uint64_t, User> users_{};  // by the numbers of their accounts
    std::map<Turn, User*> turns_{};          // the users that wait
    WaitingWork waiting_{};
    std::map<std::uint64_t, User*> under_way_{};
    std::uint64_t last_number_ = 0;
    std::uint64_t last_turn_ = 0;
};

}}}  // namespace belay::detail
