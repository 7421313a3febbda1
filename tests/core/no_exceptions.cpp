// SPDX-License-Identifier: MIT
// Goal: core works in programs built without exceptions and RTTI.
#include <belay/core/bytes.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/mailbox.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>

using namespace belay;

namespace {

struct Posted {
    int number;
    [[nodiscard]] bool is_message() const noexcept { return number % 2 == 0; }
    [[nodiscard]] bool same_control(const Posted& o) const noexcept { return number == o.number; }
};

Result<int> half(int n) {
    if (n % 2 != 0) return std::make_error_code(std::errc::invalid_argument);
    return n / 2;
}

}  // namespace

int main() {
    belay::driver::Mailbox<Posted> mailbox{1};
    mailbox.begin_turn();
    bool good = mailbox.post_message(Posted{2}) == belay::driver::Post::taken &&
                mailbox.post_message(Posted{4}) == belay::driver::Post::full &&
                mailbox.post_control(Posted{1}) == belay::driver::Post::taken &&
                mailbox.pop().number == 2 && mailbox.take_rejection();
    mailbox.close();
    ManualClock clock;
    clock.advance(std::chrono::seconds{1});
    Random bits{Seed{7}};
    const Turn turn{clock.now(), bits};
    good = good && half(4).value() == 2 && !half(3) && uniform_upto(turn.bits, 9) <= 9;
    good = good && part::crc32c(as_bytes("123456789")) == 0xE3069283U;
    good = good && Failure::from(half(3).error()).cause == Cause::permanent;
    driver::Question<int> question;
    question.ask()(5);
    good = good && question.answered() && question.take() == 5;
    return good && SteadyClock{}.now() > Instant{} ? 0 : 1;
}
