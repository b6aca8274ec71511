/* Flower's table of tasks: each leads to its run, and ?run=ID searches for a run's tasks. */
(function ($) {
    "use strict";

    var run = new URLSearchParams(window.location.search).get("run");

    function link(task) {
        var id = task.split(".")[0],
            element = document.createElement("a");
        element.href = "/run/" + encodeURIComponent(id);
        element.className = "run-link";
        element.textContent = "run";
        element.setAttribute("aria-label", "Run " + id);
        return element;
    }

    $(document).on("preInit.dt", function (event, settings) {
        if (run) {
            new $.fn.dataTable.Api(settings).search(run);
        }
    });
    $(document).on("draw.dt", "#tasks-table", function () {
        var api = $(this).DataTable(),
            column = api.column("[data-column=uuid]").index();
        if (column === undefined) {
            return;
        }
        api.rows({page: "current"}).every(function () {
            var cell = api.cell(this.index(), column).node();
            if (cell && !cell.querySelector(".run-link")) {
                cell.append(link(this.data().uuid));
            }
        });
    });
}(jQuery));
