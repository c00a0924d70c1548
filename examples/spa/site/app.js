document.getElementById("view").textContent = "Orders: " + location.pathname;
