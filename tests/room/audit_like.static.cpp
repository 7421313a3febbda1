// SPDX-License-Identifier: MIT
// Goal: AuditLike accepts its minimal model, and rejects types that lack one requirement each.
#include <belay/room/audited.hpp>

using namespace belay;

namespace {
struct LeastAudit {
    LeastAudit(const LeastAudit&) = delete;
    void record(AuditRow, Completion<std::error_code>);
};
struct AuditWithoutAnswer {
    void record(AuditRow);
};
struct AuditThatThrows {
    ~AuditThatThrows() noexcept(false);
    void record(AuditRow, Completion<std::error_code>);
};
}  // namespace

static_assert(AuditLike<LeastAudit>);
static_assert(!AuditLike<AuditWithoutAnswer>);
static_assert(!AuditLike<AuditThatThrows>);
static_assert(explain::audit_like<LeastAudit>());
