// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/metrics/page.hpp>

// expect-error: Page::add: there is no visit_metrics for this type
namespace without_visit {
struct Part {};
#ifdef BELAY_CONTROL
template <class Visitor>
void visit_metrics(const Part&, Visitor&&) {}
#endif
bool add(belay::metrics::Page& page) { return page.add("name", Part{}); }
}  // namespace without_visit
